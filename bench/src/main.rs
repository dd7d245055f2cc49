//! Runs one workload and prints its figures as one line of JSON. See the library's documentation.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use clap::Parser;

    let args = jackfield_bench::args::Args::parse();
    let line = if args.kind == jackfield_bench::args::Kind::Storm {
        jackfield_bench::storm::run(&args).and_then(|outcome| Ok(serde_json::to_string(&outcome)?))
    } else {
        jackfield_bench::workload::run(&args).and_then(|outcome| Ok(serde_json::to_string(&outcome)?))
    };
    match line {
        Ok(line) => {
            println!("{line}");
            std::process::ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("the benchmark needs Linux: it measures with /proc");
    std::process::ExitCode::FAILURE
}
