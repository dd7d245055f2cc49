//! The commands of the README, started as `cargo xtask <command>`.
//!
//! [`run`] starts the standalone binary, [`cluster`] a whole cluster of processes on this machine, [`redis`] only
//! its Redis, [`test`] runs all
//! tests and [`lint`] checks formatting and lints, [`install`] installs the tools for them. Nothing here is part of the product:
//! no service depends on it.

mod bench;
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
mod redis;
mod rules;
mod run;
mod storm;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask_kit::shutdown::unless_requested;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The commands of this repository")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build and run all services in one process, on http://localhost:3000 by default
    Run(run::Args),
    /// Run a whole cluster on this machine: gateways, auth service, nginx, Redis and Postgres, without containers
    Cluster(cluster::Args),
    /// Run only the Redis of a cluster: one, or several together
    Redis(redis::Args),
    /// Run all tests: of all crates, and end-to-end, fuzz, chaos and load tests against clusters
    Test(test::Args),
    /// Check formatting, lints and unused dependencies, as CI does
    Lint,
    /// Test that no message is lost, doubled or reordered while gateways, Redis and connections fail
    #[command(disable_help_flag = true)]
    Chaos(chaos::Args),
    /// Load a cluster with k6 and check thresholds
    Load(load::Args),
    /// Measure what messages, connects and idle sockets cost, here and on other servers
    Bench(bench::Args),
    /// Kill all gateways under a crowd of clients, and measure how soon the crowd is back
    Storm(storm::Args),
    /// Test both HTTP interfaces against their OpenAPI documents with random calls
    Fuzz(fuzz::Args),
    /// Install the tools for `cluster` and `test` (Debian and its derivatives; elsewhere prints their names)
    Install,
}

// One thread on purpose: the kernel kills a child when the thread that started it ends, and this thread lives as long as the process.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(&args).await.map(done),
        Command::Cluster(args) => cluster::run(args).await.map(done),
        Command::Redis(args) => redis::run(&args).await.map(done),
        Command::Test(args) => unless_requested(Box::pin(test::run(&args))).await,
        Command::Lint => unless_requested(lint::run()).await,
        Command::Chaos(args) => chaos::run(&args).await.map(done),
        Command::Load(args) => unless_requested(load::run(&args)).await.map(done),
        Command::Bench(args) => unless_requested(Box::pin(bench::run(&args))).await.map(done),
        Command::Storm(args) => unless_requested(Box::pin(storm::run(&args))).await.map(done),
        Command::Fuzz(args) => unless_requested(fuzz::run(&args)).await.map(done),
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
