//! The fault test: rooms lose nothing. While servers, links and connections fail, clients record what they see of
//! their rooms, and a checker judges the record against PROTOCOL (docs/protocol.md).
//!
//! - [`fleet`], [`proxy`] with [`rewrite`], [`fault`] and [`inject`]: the servers, links that can be cut, and the faults
//! - [`client`], [`packet`], [`wire`]: a small client of the stock protocol
//! - [`member`], [`assignment`], [`shared`], [`record`]: the members, their rooms and senders, and their records
//! - [`checker`], [`report`]: the judgement; [`self_test`] damages a scripted run to test the checker itself
//! - [`args`]: the options; [`testbed`] brings servers and clients ([`crowd`]) up; [`users`]: their tokens
//! - [`storm`], [`flaky`], [`slow`]: the scenarios; [`external`], [`presence`]: members against a cluster that runs already
//!
//! The client is written from PROTOCOL alone and shares no code with the gateway. `cargo xtask chaos` builds this program
//! and the gateway into one folder: it starts the gateway that is beside it, and builds nothing itself.

mod args;
mod assignment;
mod checker;
mod client;
mod crowd;
mod external;
mod fault;
mod flaky;
mod fleet;
mod inject;
mod member;
#[cfg(test)]
mod model;
mod packet;
mod presence;
mod proxy;
mod record;
mod report;
mod rewrite;
mod self_test;
mod shared;
mod slow;
mod storm;
mod testbed;
mod users;
mod wire;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use xtask_kit::{process, shutdown, workdir::Workdir};

use args::{Args, Scenario};

// One thread on purpose: the kernel kills a child when the thread that started it ends, and this thread lives as long as the process.
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
    args.check()?;
    process::raise_open_files_limit()?;
    shutdown::unless_requested(scenario(&args, seed)).await
}

async fn scenario(args: &Args, seed: u64) -> Result<()> {
    if let Some(url) = &args.url {
        return external::run(args, url, seed).await;
    }
    let (workdir, _listener) = Workdir::create(&format!("chaos-{}", std::process::id()), args.logs.as_deref())?;
    match args.scenario {
        Scenario::Storm => storm::run(args, seed, &workdir).await,
        Scenario::Flaky => flaky::run(args, seed, &workdir).await,
        Scenario::Slow => slow::run(args, seed, &workdir).await,
    }
}
