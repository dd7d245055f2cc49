//! Runs one workload and prints its figures as one line of JSON. See the library's documentation.

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    use clap::Parser;

    let args = jackfield_bench::args::Args::parse();
    let outcome = jackfield_bench::workload::run(&args)?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("the benchmark needs Linux: it measures with /proc");
    std::process::ExitCode::FAILURE
}
