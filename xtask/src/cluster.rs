//! `cargo xtask cluster`: a real cluster of processes on this machine, and the commands for a running one.
//!
//! - [`parts`]: the processes, and the order in which they start and stop
//! - [`keep`]: the main loop, which reports exits, carries out commands and stops all processes together
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
use xtask_kit::servers::redis::topology::Kind;

use crate::cargo::Build;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    start: Start,
}

/// Options of every command that starts a cluster.
#[derive(clap::Args, Clone, Default)]
pub struct Gateways {
    /// Number of gateways
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub nodes: u16,
    /// A setting of every gateway (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Keep the log files, in this folder
    #[arg(long, value_name = "FOLDER")]
    pub logs: Option<PathBuf>,
    #[command(flatten)]
    pub build: Build,
}

/// The cluster to start.
#[derive(clap::Args, Default)]
pub struct Start {
    #[command(flatten)]
    pub gateways: Gateways,
    /// Print the addresses as one line of JSON, once all processes are ready
    #[arg(long)]
    pub json: bool,
    /// A setting of the auth service (repeatable)
    #[arg(long = "auth-set", value_name = "KEY=VALUE")]
    pub auth_set: Vec<String>,
    /// Also start a Prometheus that scrapes all services, with the rules in deploy/prometheus
    #[arg(long)]
    pub prometheus: bool,
    /// The Redis of the cluster: one, or several together
    #[arg(long, value_enum, default_value_t)]
    pub redis: Kind,
    /// The Redis have TLS, client certificates and a user with few permissions
    #[arg(long)]
    pub tls: bool,
    /// Name of the cluster, for `--cluster` [default: the process id]
    #[arg(long)]
    pub name: Option<String>,
    /// The gateways trust tokens signed with this instead of the auth service's.
    #[arg(skip)]
    pub jwt_secret: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Restart a gateway that has exited, on its old ports and with its settings; prints its new pid
    RestartGateway(OneGateway),
    /// Stop a gateway with SIGTERM, and wait until it has drained
    StopGateway(OneGateway),
    /// Restart all gateways, one after the other: send SIGTERM, wait for exit code 0, start it, wait until it is ready
    RollingRestart {
        /// Seconds between two gateways, for clients to reconnect and for balancers to notice the new one
        #[arg(long, default_value_t = 4.0)]
        pause: f64,
        #[command(flatten)]
        which: Which,
    },
    /// Stop a Redis of the cluster; its data stay on disk
    StopRedis {
        /// `redis1`, …; the only one needs none
        name: Option<String>,
        /// Send SIGKILL instead of SIGTERM
        #[arg(long)]
        kill: bool,
        #[command(flatten)]
        which: Which,
    },
    /// Start a Redis of the cluster again; prints its new pid
    StartRedis {
        /// `redis1`, …; the only one needs none
        name: Option<String>,
        /// Without its data
        #[arg(long)]
        empty: bool,
        #[command(flatten)]
        which: Which,
    },
}

#[derive(clap::Args)]
struct OneGateway {
    /// `gw1`, …
    id: String,
    #[command(flatten)]
    which: Which,
}

/// The running cluster to command.
#[derive(clap::Args)]
struct Which {
    /// Name of the cluster; required if several run
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
        Some(Command::StopGateway(OneGateway { id, which })) => (control::Request::StopGateway { id }, which),
        Some(Command::RestartGateway(OneGateway { id, which })) => (control::Request::RestartGateway { id }, which),
        Some(Command::StopRedis { name, kill, which }) => (control::Request::StopRedis { name, kill }, which),
        Some(Command::StartRedis { name, empty, which }) => (control::Request::StartRedis { name, empty }, which),
    };
    let answer: control::Answer = control::ask(&request, which.cluster.as_deref()).await?;
    match (which.json, answer.pid) {
        (true, _) => println!("{}", serde_json::to_string(&answer)?),
        (false, Some(pid)) => println!("{pid}"),
        (false, None) => {}
    }
    Ok(())
}
