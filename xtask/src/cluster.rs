//! `cargo xtask cluster`: a real cluster of processes on this machine, and the commands that speak to a running one.
//!
//! - [`parts`]: the processes, how they are started and in which order they end
//! - [`keep`]: the main loop, which reports deaths, carries out commands and ends everything together
//! - [`control`]: the commands, from another terminal, over a socket in the cluster's folder
//! - [`rolling`]: the one command that takes several steps

mod addresses;
mod control;
mod keep;
mod parts;
mod rolling;

pub use addresses::Addresses;
pub use parts::Parts;

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    start: Start,
}

/// The cluster to start.
#[derive(clap::Args, Default)]
pub struct Start {
    /// How many gateways
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub nodes: u16,
    /// With optimisations
    #[arg(long)]
    pub release: bool,
    /// Print one line of JSON once everything is up
    #[arg(long)]
    pub json: bool,
    /// A setting of every gateway (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// A setting of the auth service (repeatable)
    #[arg(long = "auth-set", value_name = "KEY=VALUE")]
    pub auth_set: Vec<String>,
    /// Also start a Prometheus that scrapes all of them, with the rules in deploy/prometheus
    #[arg(long)]
    pub prometheus: bool,
    /// Name of the cluster, for `--cluster` [default: the process id]
    #[arg(long)]
    pub name: Option<String>,
    /// Keep the log files, in this folder
    #[arg(long, value_name = "FOLDER")]
    pub logs: Option<PathBuf>,
    /// Take the programs as they were built last
    #[arg(long)]
    pub no_build: bool,
    /// The gateways trust tokens signed with this instead of the auth service's.
    #[arg(skip)]
    pub jwt_secret: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Start a dead gateway again, on its old ports and with its settings; prints its new pid
    RestartGateway {
        /// `gw1`, …
        id: String,
        #[command(flatten)]
        which: Which,
    },
    /// Stop a gateway (SIGTERM), and wait until it has drained
    StopGateway {
        /// `gw1`, …
        id: String,
        #[command(flatten)]
        which: Which,
    },
    /// Restart all gateways one after the other: SIGTERM, exit code 0, started again, ready, next
    RollingRestart {
        /// Seconds between two gateways, in which clients reconnect and balancers accept the new one
        #[arg(long, default_value_t = 4.0)]
        pause: f64,
        #[command(flatten)]
        which: Which,
    },
    /// Stop the cluster's Redis; its data stay on disk
    StopRedis {
        /// By SIGKILL instead of SIGTERM
        #[arg(long)]
        kill: bool,
        #[command(flatten)]
        which: Which,
    },
    /// Start the cluster's Redis again; prints its new pid
    StartRedis {
        /// Without its data
        #[arg(long)]
        empty: bool,
        #[command(flatten)]
        which: Which,
    },
}

/// Which running cluster.
#[derive(clap::Args)]
struct Which {
    /// Name of the cluster; needed where several run
    #[arg(long, alias = "name")]
    cluster: Option<String>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// Carries out the command.
pub async fn run(args: Args) -> Result<()> {
    let (request, which) = match args.command {
        None => return keep::run(args.start).await,
        Some(Command::RollingRestart { pause, which }) => return rolling::restart(&which, pause).await,
        Some(Command::StopGateway { id, which }) => (control::Request::StopGateway { id }, which),
        Some(Command::RestartGateway { id, which }) => (control::Request::RestartGateway { id }, which),
        Some(Command::StopRedis { kill, which }) => (control::Request::StopRedis { kill }, which),
        Some(Command::StartRedis { empty, which }) => (control::Request::StartRedis { empty }, which),
    };
    let answer: control::Answer = control::ask(&request, which.cluster.as_deref()).await?;
    match (which.json, answer.pid) {
        (true, _) => println!("{}", serde_json::to_string(&answer)?),
        (false, Some(pid)) => println!("{pid}"),
        (false, None) => {}
    }
    Ok(())
}
