//! The fault test: rooms lose nothing. While servers, links and connections fail, clients record all that they see of
//! their rooms, and a checker judges the record against PROTOCOL.
//!
//! - [`fleet`], [`proxy`], [`fault`]: the servers, the link that can be cut, and the plan of faults
//! - [`client`], [`packet`], [`wire`]: a small client of the stock protocol
//! - [`member`], [`cast`], [`shared`], [`record`]: the members, their rooms and senders, and their records
//! - [`checker`], [`report`]: the judgement; [`self_test`] damages a scripted run to test the checker itself
//! - [`stage`] brings servers and clients ([`crowd`]) up; [`storm`], [`flaky`], [`slow`] are the scenarios
//!
//! The client is written from PROTOCOL alone and shares no code with the gateway. `cargo xtask chaos` builds this program
//! and the gateway into one folder: it starts the gateway that is beside it, and builds nothing itself.

mod cast;
mod checker;
mod client;
mod crowd;
mod fault;
mod flaky;
mod fleet;
mod histogram;
mod member;
#[cfg(test)]
mod model;
mod packet;
mod proxy;
mod record;
mod report;
mod self_test;
mod shared;
mod slow;
mod stage;
mod storm;
mod token;
mod wire;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Result, bail, ensure};
use clap::{Parser, ValueEnum};
use xtask_kit::{child, ending::Ending, workdir::Workdir};

/// Faults and load of a run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Senders at full speed while one thing after another breaks
    Storm,
    /// 1,000 clients that lose their connections at random
    Flaky,
    /// One client that stops reading while its room gets 50,000 messages
    Slow,
}

/// Options of `cargo xtask chaos` that this program does not get.
const AFTER_HELP: &str = "cargo xtask builds this program and the gateway first, with two options of its own:
      --release   Build with optimisations
      --no-build  Use the programs of the last build";

#[derive(Parser)]
#[command(
    name = "cargo xtask chaos",
    about = "Tests that rooms lose nothing while gateways, Redis and connections fail"
)]
#[command(after_help = AFTER_HELP)]
struct Args {
    /// Scenario to run
    #[arg(long, value_enum, default_value_t = Scenario::Storm)]
    scenario: Scenario,
    /// Every kind of fault in a third of the time: shorter faults and fewer clients, unless other options say otherwise
    #[arg(long)]
    short: bool,
    /// How long senders send [default: 60, or as long as a short run needs]
    #[arg(long)]
    seconds: Option<u64>,
    /// Seed for faults, targets and times [default: random, and printed]
    #[arg(long)]
    seed: Option<u64>,
    /// Gateways
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Rooms
    #[arg(long, default_value_t = 30, default_value_if("short", "true", "10"))]
    rooms: usize,
    /// Members, spread over rooms and gateways
    #[arg(long, default_value_t = 300, default_value_if("short", "true", "60"))]
    members: usize,
    /// How many of them send
    #[arg(long, default_value_t = 20, default_value_if("short", "true", "10"))]
    senders: usize,
    /// Messages that a sender has outstanding
    #[arg(long, default_value_t = 4)]
    window: usize,
    /// Messages per second of each sender; 0: as fast as they are acknowledged (a room may then get more while a node
    /// is away than it keeps)
    #[arg(long, default_value_t = 120, default_value_if("short", "true", "40"))]
    rate: u32,
    /// Characters of a message
    #[arg(long, default_value_t = 64)]
    length: usize,
    /// Kinds of faults; each occurs once before any occurs again
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = fault::Kind::USUAL)]
    faults: Vec<fault::Kind>,
    /// Nothing breaks
    #[arg(long)]
    calm: bool,
    /// Messages that the gateways keep for each room: a member that missed more may get a reset
    #[arg(long, default_value_t = 1_000)]
    kept: usize,
    /// A setting of every gateway (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print the figures as one line of JSON
    #[arg(long)]
    json: bool,
    /// Keep the log files of the servers, in this folder
    #[arg(long, value_name = "FOLDER")]
    logs: Option<PathBuf>,
    /// Break a scripted run in known ways and see whether the checker finds it; starts no server
    #[arg(long)]
    self_test: bool,
}

impl Args {
    fn sizes(&self) -> cast::Sizes {
        cast::Sizes { rooms: self.rooms, members: self.members, senders: self.senders }
    }

    fn load(&self) -> member::Load {
        let every = (self.rate > 0).then(|| Duration::from_secs(1) / self.rate);
        member::Load { window: self.window, every, length: self.length }
    }

    fn wanted(&self) -> fleet::Wanted {
        fleet::Wanted { nodes: self.nodes, set: self.settings() }
    }

    fn faults(&self) -> &[fault::Kind] {
        if self.calm { &[] } else { &self.faults }
    }

    fn tempo(&self) -> fault::Tempo {
        if self.short { fault::Tempo::Short } else { fault::Tempo::Usual }
    }

    fn time(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(if self.short { fault::SHORT } else { 60 }))
    }

    /// Arguments that, with any others that were given, produce the same faults again.
    fn again(&self, seed: u64) -> String {
        format!("{}--seed {seed}", if self.short { "--short " } else { "" })
    }

    /// Turns off the limits of events and stored bytes, so that senders are not slowed down. `roster.max` is low: the
    /// roster is not under test, and its lists, sent to everybody at every reconnect, would be most of the traffic.
    fn settings(&self) -> Vec<String> {
        let own = ["limits.eventRate=0", "limits.userBytes=0", "roster.max=50"].map(String::from);
        let lease = self.short.then(|| fault::SHORT_LEASE.to_owned());
        own.into_iter().chain(lease).chain(self.set.iter().cloned()).collect()
    }
}

// One thread on purpose: the kernel kills a child when the thread that started it ends; this one lives to the end.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the chosen scenario, or the self-test.
async fn run(args: Args) -> Result<()> {
    let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    eprintln!("seed {seed}");
    if args.self_test {
        return self_test::run(seed);
    }
    ensure!(args.nodes > 0 && args.rooms > 0 && args.window > 0, "there must be nodes, rooms and a window");
    ensure!(args.members >= args.rooms.max(args.senders), "every room needs a member, and every sender is one");
    child::open_files()?;
    let mut ending = Ending::listen()?;
    let (mut workdir, _listener) = Workdir::create(&format!("chaos-{}", std::process::id()))?;
    if let Some(logs) = &args.logs {
        workdir.keep_logs_in(logs)?;
    }
    let scenario = async {
        match args.scenario {
            Scenario::Storm => storm::run(&args, seed, &workdir).await,
            Scenario::Flaky => flaky::run(&args, seed, &workdir).await,
            Scenario::Slow => slow::run(&args, seed, &workdir).await,
        }
    };
    tokio::select! {
        result = scenario => result,
        // Servers are killed as they are dropped.
        why = ending.wait() => bail!("{why}: not finished"),
    }
}
