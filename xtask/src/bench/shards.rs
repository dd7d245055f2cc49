//! `cargo xtask bench shards`: what does a message cost each of several Redis, and what comes after one Redis is full?
//!
//! Two gateways and 1, 2 and 4 Redis. Rooms get as many messages a second for each Redis, so that each has the same work;
//! a Redis that is less busy needs more for a message, because fewer share a write. "In a second of CPU" is how many
//! messages all Redis together pass on until the busiest of them has used one second of its processor: this machine has
//! fewer processors than there are servers, so a rate in wall-clock time would say nothing.

use std::path::Path;

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::Value;
use xtask_kit::{paths, ports::Ports, process::Spec, servers::redis::Redis, service::Service, workdir::Workdir};

use super::generator::{self, Node};

/// Numbers of Redis.
const COUNTS: [usize; 3] = [1, 2, 4];
/// Members of a room, one of whom sends.
const MEMBERS: usize = 2;
const GATEWAYS: usize = 2;

#[derive(clap::Args)]
pub struct Args {
    /// Times that everything is measured; the table has medians
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Messages a second for each Redis
    #[arg(long, default_value_t = 1_000)]
    rate: usize,
    /// Rooms for each Redis
    #[arg(long, default_value_t = 250)]
    rooms: usize,
    /// Seconds of each measurement, after a warm-up
    #[arg(long, default_value_t = 8.0)]
    duration: f64,
    /// Build without optimisations: figures say nothing
    #[arg(long)]
    pub debug: bool,
    /// Use the programs of the last build
    #[arg(long)]
    pub no_build: bool,
}

/// The figures of one run.
struct Run {
    redis: usize,
    messages: f64,
    /// CPU seconds of each Redis.
    of_redis: Vec<f64>,
    /// CPU seconds of all gateways.
    of_gateways: f64,
}

impl Run {
    fn of(redis: usize, outcome: &Value) -> Result<Self> {
        let number = |name: &str| outcome[name].as_f64().with_context(|| format!("the load generator gave no {name}"));
        let each = outcome["redis_cpu_each"].as_array();
        let of_redis = match each {
            Some(each) => each.iter().filter_map(Value::as_f64).collect(),
            None => vec![number("redis_cpu")?],
        };
        // Every member gets the message.
        let messages = number("count")? / f64::from(u32::try_from(MEMBERS)?);
        Ok(Self { redis, messages, of_redis, of_gateways: number("server_cpu")? })
    }

    /// Microseconds of Redis for a message.
    fn cost(&self) -> f64 {
        self.of_redis.iter().sum::<f64>() / self.messages * 1e6
    }

    /// Messages until the busiest Redis has used a second of its processor.
    fn in_a_second(&self) -> f64 {
        self.messages / self.of_redis.iter().copied().fold(f64::MIN_POSITIVE, f64::max)
    }

    /// Microseconds of the gateways for a message and its deliveries.
    fn cost_of_gateways(&self) -> f64 {
        self.of_gateways / self.messages * 1e6
    }
}

/// Measures all counts in alternating rounds, and prints the table.
pub async fn run(args: &Args) -> Result<()> {
    let (workdir, _listener) = Workdir::create(&format!("shards-{}", std::process::id()), None)?;
    let gateway = paths::built("jackfield-gateway", !args.debug)?;
    let generator = paths::built("jackfield-bench", !args.debug)?;
    let mut runs = Vec::new();
    for round in 1..=args.rounds {
        for redis in COUNTS {
            let run = measure(args, redis, &workdir, &gateway, &generator).await?;
            eprintln!(
                "round {round} of {}, {redis} Redis: {:.0} µs of Redis and {:.0} µs of gateways a message",
                args.rounds,
                run.cost(),
                run.cost_of_gateways()
            );
            runs.push(run);
        }
    }
    print!("{}", table(&runs));
    Ok(())
}

async fn measure(args: &Args, count: usize, workdir: &Workdir, gateway: &Path, generator: &Path) -> Result<Run> {
    let mut ports = Ports::new()?;
    let mut redis = Vec::with_capacity(count);
    for number in 1..=count {
        // Each run has a folder of its own, and so empty servers.
        let name = format!("redis{number}-{:08x}", rand::random::<u32>());
        redis.push(Redis::start_named(workdir, &name, ports.reserve()?).await?);
    }
    let urls: Vec<String> = redis.iter().map(Redis::url).collect();
    let secret = format!("{:032x}", rand::random::<u128>());
    let mut gateways = Vec::with_capacity(GATEWAYS);
    for number in 1..=GATEWAYS {
        let id = format!("gw{number}");
        let spec = Spec::new(&id, gateway, &workdir.logs)
            .env("NODE_ID", &id)
            .env("JWT_SECRET", &secret)
            .env("REDIS_URLS", urls.join(","));
        let mut service = Service::start(spec, &[], &mut ports)?;
        service.until_ready().await?;
        gateways.push(service);
    }
    let nodes: Vec<Node> =
        gateways.iter().map(|service| Node { port: service.port, pid: service.server.pid }).collect();
    let load = format!(
        "rooms --sockets {} --room-size {MEMBERS} --senders 1 --rate {} --duration {} --warmup 3",
        count * args.rooms * MEMBERS,
        count * args.rate,
        args.duration
    );
    let load: Vec<String> = load.split(' ').map(ToOwned::to_owned).collect();
    let pids: Vec<u32> = redis.iter().map(|redis| redis.server.pid).collect();
    let outcome = generator::run(generator, &load, &nodes, &pids, &secret).await;
    for service in &mut gateways {
        service.server.stop(Signal::TERM, super::servers::STOP).await;
    }
    for server in &mut redis {
        server.stop(Signal::TERM).await?;
    }
    Run::of(count, &outcome?)
}

/// Medians of all runs, in a table of Markdown.
fn table(runs: &[Run]) -> String {
    let median = |count: usize, figure: fn(&Run) -> f64| {
        let mut figures: Vec<f64> = runs.iter().filter(|run| run.redis == count).map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied().unwrap_or_default()
    };
    let one = median(1, Run::in_a_second);
    let mut text =
        "| Redis | µs of Redis a message | messages in a second of CPU | times one | µs of gateways a message |\n\
                    |---|---|---|---|---|\n"
            .to_owned();
    for count in COUNTS {
        let (cost, gateways) = (median(count, Run::cost), median(count, Run::cost_of_gateways));
        let sum = median(count, Run::in_a_second);
        text += &format!("| {count} | {cost:.0} | {sum:.0} | {:.2} | {gateways:.0} |\n", sum / one);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_redis_is_the_limit() {
        let run = |redis: usize, messages: f64, of_redis: &[f64]| Run {
            redis,
            messages,
            of_redis: of_redis.to_vec(),
            of_gateways: 1.0,
        };
        let runs = [run(1, 1_000.0, &[0.1]), run(2, 2_000.0, &[0.1, 0.1]), run(4, 4_000.0, &[0.2, 0.1, 0.05, 0.05])];
        let lines: Vec<_> = table(&runs).lines().skip(2).map(ToOwned::to_owned).collect();
        assert_eq!(lines[0], "| 1 | 100 | 10000 | 1.00 | 1000 |");
        assert_eq!(lines[1], "| 2 | 100 | 20000 | 2.00 | 500 |");
        assert_eq!(lines[2], "| 4 | 100 | 20000 | 2.00 | 250 |");
    }

    #[test]
    fn several_redis_are_read_one_by_one() {
        let outcome =
            serde_json::json!({ "count": 200, "redis_cpu": 0.5, "redis_cpu_each": [0.2, 0.3], "server_cpu": 1 });
        let run = Run::of(2, &outcome).unwrap();
        assert_eq!((run.messages, run.of_redis.len()), (100.0, 2));
        assert!(Run::of(1, &serde_json::json!({})).is_err());
    }
}
