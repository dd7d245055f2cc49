//! The commands of the README, started as `cargo xtask <command>`.
//!
//! [`run`] starts the standalone binary, [`cluster`] a whole cluster of processes on this machine, [`test`] checks
//! everything and [`lint`] the code's form, [`install`] fetches what those need. Nothing here is part of the product:
//! no service depends on it.

mod cargo;
mod chaos;
mod cluster;
mod fuzz;
mod install;
mod k8s;
mod lint;
mod load;
mod node_packages;
mod output;
mod python;
mod rules;
mod run;
mod test;

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
    /// Build and run everything in one process, on http://localhost:3000 by default
    Run(run::Args),
    /// A whole cluster on this machine: gateways, auth service, nginx, Redis and Postgres, without containers
    Cluster(cluster::Args),
    /// Check everything: the tests of all crates, and end-to-end, fuzz, chaos and load tests against clusters
    Test(test::Args),
    /// Check that formatting and clippy find nothing, as CI does
    Lint,
    /// Look for lost, doubled and reordered messages while gateways, Redis and connections break
    #[command(disable_help_flag = true)]
    Chaos(chaos::Args),
    /// Load a cluster with k6 and judge it by thresholds
    Load(load::Args),
    /// Test both HTTP interfaces against their OpenAPI documents with random calls
    Fuzz(fuzz::Args),
    /// Install what `cluster` and `test` need (Debian and its kin; elsewhere says what to install)
    Install,
}

// One thread on purpose: the kernel kills a child when the thread that started it ends; this one lives to the end.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(&args).await.map(done),
        Command::Cluster(args) => cluster::run(args).await.map(done),
        Command::Test(args) => Box::pin(test::run(&args)).await,
        Command::Lint => lint::run().await,
        Command::Chaos(args) => chaos::run(&args).await.map(done),
        Command::Load(args) => load::run(&args).await.map(done),
        Command::Fuzz(args) => fuzz::run(&args).await.map(done),
        Command::Install => install::everything().await.map(done),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
