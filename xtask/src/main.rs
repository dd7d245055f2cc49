//! The commands of the README, started as `cargo xtask <command>`.
//!
//! [`run`] starts the standalone binary, [`cluster`] a whole cluster of processes on this machine, [`test`] checks
//! everything, [`install`] fetches what those need. Nothing here is part of the product: no service depends on it.

mod cargo;
mod chaos;
mod child;
mod cluster;
mod ending;
mod fuzz;
mod install;
mod k8s;
mod load;
mod node_packages;
mod places;
mod ports;
mod python;
mod ready;
mod rules;
mod run;
mod servers;
mod test;
mod workdir;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The commands of this repository")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build and run everything in one process, on http://localhost:3000 unless told otherwise
    Run(run::Args),
    /// A whole cluster on this machine: gateways, auth service, nginx, Redis and Postgres, without containers
    Cluster(cluster::Args),
    /// Check everything: fmt, clippy, the tests of all crates, and end-to-end tests against a cluster
    Test(test::Args),
    /// Look for lost, doubled and reordered messages while gateways, Redis and connections break
    Chaos(Box<chaos::Args>),
    /// Load a cluster with k6 and judge it by thresholds
    Load(load::Args),
    /// Hold both HTTP interfaces against their OpenAPI documents with random calls
    Fuzz(fuzz::Args),
    /// Install what `cluster` and `test` need (Debian and its kin; elsewhere says what to install)
    Install,
}

// One thread on purpose: children are told to end with the thread that started them, and this one lives as long as we do.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(&args).await,
        Command::Cluster(args) => cluster::run(args).await,
        Command::Test(args) => test::run(&args).await,
        Command::Chaos(args) => chaos::run(*args).await,
        Command::Load(args) => load::run(&args).await,
        Command::Fuzz(args) => fuzz::run(&args).await,
        Command::Install => install::everything().await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
