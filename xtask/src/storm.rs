//! `cargo xtask storm`: how soon is a crowd back whose gateways were all killed at once?
//!
//! It starts Redis and the gateways on free ports of this machine and lets the load generator (`bench/`) connect a crowd.
//! Then it kills all gateways, starts them again after a while, and prints what the generator saw from the moment at which
//! all of them were ready. Everything shares this machine, so the CPU seconds tell more than the time.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::Command,
    time::{sleep, timeout},
};
use xtask_kit::{
    paths,
    ports::Ports,
    process::{self, Spec},
    servers::redis::Redis,
    service::Service,
    workdir::Workdir,
};

use crate::cargo;

/// For the crowd to come up.
const UP_WITHIN: Duration = Duration::from_mins(4);
/// For the generator's last line, beyond the time that it measures.
const PRINT_WITHIN: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(6);

#[derive(clap::Args)]
pub struct Args {
    /// Number of clients
    #[arg(long, default_value_t = 20_000)]
    clients: usize,
    /// Clients that ask for echoes before the storm and during it
    #[arg(long, default_value_t = 100)]
    witnesses: usize,
    /// Clients in each room; 0 for no rooms
    #[arg(long, default_value_t = 100)]
    room_size: usize,
    /// Number of gateways
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Seconds from the kill to the restart
    #[arg(long, default_value_t = 3.0)]
    outage: f64,
    /// Seconds after which those that are not back are counted
    #[arg(long, default_value_t = 60.0)]
    duration: f64,
    /// Fail if not all are back within this many seconds
    #[arg(long)]
    within: Option<f64>,
    /// A setting of every gateway (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Measure this gateway program instead of the one that is built
    #[arg(long, value_name = "PROGRAM")]
    gateway: Option<PathBuf>,
    /// Build without optimisations: figures say nothing
    #[arg(long)]
    debug: bool,
    /// Use the programs of the last build
    #[arg(long)]
    no_build: bool,
    /// Print the figures as one line of JSON
    #[arg(long)]
    json: bool,
    /// Keep the servers' log files in this folder
    #[arg(long, value_name = "FOLDER")]
    logs: Option<PathBuf>,
}

/// Runs one storm.
pub async fn run(args: &Args) -> Result<()> {
    ensure!(cfg!(target_os = "linux"), "the load generator needs Linux: it measures with /proc");
    if !args.no_build {
        let gateway = ["--bin", "jackfield-gateway"];
        let own = if args.gateway.is_none() { &gateway[..] } else { &[] };
        cargo::build(&[&["--bin", "jackfield-bench"], own].concat(), !args.debug).await?;
    }
    process::raise_open_files_limit()?;
    let (workdir, _listener) = Workdir::create(&format!("storm-{}", std::process::id()), args.logs.as_deref())?;
    let mut ports = Ports::new()?;
    let mut redis = Redis::start(&workdir, ports.reserve()?).await?;
    let secret = format!("{:032x}", rand::random::<u128>());
    let mut gateways = start(args, &workdir, &mut ports, &redis, &secret).await?;
    let outcome = storm(args, &mut gateways, &redis, &secret).await;
    for gateway in &mut gateways {
        gateway.server.stop(Signal::KILL, STOP).await;
    }
    redis.server.stop(Signal::TERM, STOP).await;
    let outcome = outcome?;
    if args.json {
        println!("{outcome}");
    } else {
        print(&outcome);
    }
    ensure!(outcome["lost_for_good"] == 0, "clients were sent away for good");
    if let Some(within) = args.within {
        let after = outcome["all_back_after"].as_f64().context("not all clients came back")?;
        ensure!(after <= within, "the last client was back after {after:.1} s");
    }
    Ok(())
}

async fn start(args: &Args, workdir: &Workdir, ports: &mut Ports, redis: &Redis, secret: &str) -> Result<Vec<Service>> {
    let program = match &args.gateway {
        Some(program) => program.canonicalize().with_context(|| program.display().to_string())?,
        None => paths::built("jackfield-gateway", !args.debug)?,
    };
    let mut gateways = Vec::with_capacity(args.nodes);
    for number in 1..=args.nodes {
        let name = format!("gw{number}");
        let spec = Spec::new(&name, &program, &workdir.logs)
            .env("NODE_ID", &name)
            .env("JWT_SECRET", secret)
            .env("REDIS_URL", redis.url());
        gateways.push(Service::start(spec, &args.set, ports)?);
    }
    for gateway in &mut gateways {
        gateway.until_ready().await?;
    }
    Ok(gateways)
}

/// Lets the crowd connect, kills the gateways, and returns the generator's figures.
async fn storm(args: &Args, gateways: &mut [Service], redis: &Redis, secret: &str) -> Result<Value> {
    let program = paths::built("jackfield-bench", !args.debug)?;
    let mut command = Command::new(&program);
    command.arg("storm").args(["--sockets", &args.clients.to_string(), "--room-size", &args.room_size.to_string()]);
    command.args(["--witnesses", &args.witnesses.to_string(), "--duration", &args.duration.to_string()]);
    command.args(["--redis-pid", &redis.server.pid.to_string()]);
    for gateway in gateways.iter() {
        command.args(["--target", &format!("127.0.0.1:{}", gateway.port)]);
    }
    // In the environment, because everybody on the machine can read arguments.
    command.env("JWT_SECRET", secret).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut generator = command.spawn().with_context(|| program.display().to_string())?;
    let mut lines = BufReader::new(generator.stdout.take().context("its output")?).lines();
    let mut input = generator.stdin.take().context("its input")?;
    let up = timeout(UP_WITHIN, lines.next_line()).await.context("the crowd did not come up")??;
    ensure!(up.is_some(), "the load generator ended before the storm");
    eprintln!("{} clients are connected; killing all gateways", args.clients);
    for gateway in gateways.iter_mut() {
        gateway.server.stop(Signal::KILL, STOP).await;
    }
    sleep(Duration::from_secs_f64(args.outage)).await;
    for gateway in gateways.iter_mut() {
        gateway.restart().await?;
    }
    let pids: Vec<String> = gateways.iter().map(|gateway| gateway.server.pid.to_string()).collect();
    input.write_all(format!("{}\n", pids.join(" ")).as_bytes()).await?;
    let limit = Duration::from_secs_f64(args.duration) + PRINT_WITHIN;
    let line = timeout(limit, lines.next_line()).await.context("the load generator hangs")??;
    let outcome = serde_json::from_str(&line.context("the load generator failed")?)?;
    generator.wait().await?;
    Ok(outcome)
}

fn print(outcome: &Value) {
    let milliseconds = |name: &str| outcome[name].as_f64().map_or_else(|| "-".into(), |ms| format!("{ms:.1} ms"));
    let count = |name: &str| outcome[name].to_string();
    println!("clients                        {}", count("clients"));
    for pair in outcome["back_after"].as_array().into_iter().flatten() {
        println!("back after {:>2} s                {}", pair[0], pair[1]);
    }
    let all = outcome["all_back_after"].as_f64().map_or_else(|| "never".into(), |seconds| format!("{seconds:.1} s"));
    println!("all back after                 {all}");
    println!("lost for good                  {}", count("lost_for_good"));
    println!("connects begun                 {}", count("begun"));
    println!("  given up by the client       {}", count("given_up"));
    println!("  answered with 503            {}", count("refused"));
    println!("joins repeated                 {}", count("rejoins"));
    println!("lost again                     {}", count("lost_again"));
    println!("echo p99 before                {}", milliseconds("calm_p99_ms"));
    println!("echo p50, p99 in the storm     {}, {}", milliseconds("storm_p50_ms"), milliseconds("storm_p99_ms"));
    let seconds = |name: &str| outcome[name].as_f64().unwrap_or_default();
    println!(
        "CPU seconds                    gateways {:.1}, redis {:.1}, generator {:.1}; in {:.1} s",
        seconds("server_cpu"),
        seconds("redis_cpu"),
        seconds("generator_cpu"),
        seconds("seconds")
    );
    println!("why connections ended          {}", outcome["failures"]);
    println!("where clients are              {}", outcome["stages"]);
}
