//! `cargo xtask bench`: what do messages, connects and idle sockets cost, here and on other servers?
//!
//! It starts every peer and Redis on free ports of this machine, runs the load generator (`bench/`) against them in
//! alternating rounds, and prints a table for each scenario. Each run has servers of its own. All runs go to a file in
//! `target/bench/`, one line of JSON each.
//!
//! - [`peer`]: the servers that are compared; [`centrifugo`]: builds one of them
//! - [`scenario`]: what is measured
//! - [`servers`], [`generator`]: one run
//! - [`shards`]: several Redis
//! - [`results`], [`table`], [`summary`], [`warnings`]: all runs, and what they say; [`machine`]: where they ran

mod centrifugo;
mod generator;
mod machine;
mod peer;
mod results;
mod scenario;
mod servers;
pub mod shards;
mod summary;
mod table;
mod warnings;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use serde_json::Value;
use xtask_kit::{paths, process, workdir::Workdir};

use crate::{cargo, node_packages};
use peer::{Peer, Program};
use results::{Results, Run, Setup};
use scenario::{Scenario, Sizes};
use servers::Bench;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    other: Option<Other>,
    /// Measure only this (repeatable) [default: all]
    #[arg(long = "scenario", value_enum)]
    scenarios: Vec<Scenario>,
    /// Measure only these servers (repeatable) [default: all]; one whose runtime is missing is skipped
    #[arg(long = "peer", value_enum)]
    peers: Vec<Peer>,
    /// Times that everything is measured; tables have medians [default: 3, or 1 with --quick]
    #[arg(long)]
    rounds: Option<u32>,
    /// Seconds of each measurement, after a warm-up [default: 8, or 1 with --quick]
    #[arg(long)]
    duration: Option<f64>,
    /// A tenth of the clients for a second: checks that everything works, its figures say little
    #[arg(long)]
    quick: bool,
    /// Measure this gateway program instead of the one that is built
    #[arg(long, value_name = "PROGRAM")]
    gateway: Option<PathBuf>,
    /// Build without optimisations: figures say nothing
    #[arg(long)]
    debug: bool,
    /// Use the programs of the last build
    #[arg(long)]
    no_build: bool,
    /// Keep the servers' log files in this folder
    #[arg(long, value_name = "FOLDER")]
    logs: Option<PathBuf>,
    /// Measure nothing: print the tables of this file of an earlier run
    #[arg(long, value_name = "FILE", exclusive = true)]
    show: Option<PathBuf>,
}

#[derive(clap::Subcommand)]
enum Other {
    /// Measure what a message costs each of 1, 2 and 4 Redis
    Shards(shards::Args),
}

/// Measures everything that was requested. Fails if no run succeeded.
pub async fn run(args: &Args) -> Result<()> {
    if let Some(file) = &args.show {
        print!("{}", table::all(&Results::read(file)?));
        return Ok(());
    }
    ensure!(cfg!(target_os = "linux"), "the benchmark needs Linux: it measures with /proc");
    if let Some(Other::Shards(args)) = &args.other {
        if !args.no_build {
            node_packages::browser_client().await?;
            cargo::build(&["--bin", "jackfield-bench", "--bin", "jackfield-gateway"], !args.debug).await?;
        }
        process::raise_open_files_limit()?;
        return shards::run(args).await;
    }
    let scenarios = chosen(&args.scenarios);
    build(args).await?;
    let peers = prepare(&chosen(&args.peers), args).await?;
    process::raise_open_files_limit()?;
    let (workdir, _listener) = Workdir::create(&format!("bench-{}", std::process::id()), args.logs.as_deref())?;
    let sizes = Sizes { quick: args.quick, duration: args.duration };
    let file = results_file()?;
    let setup = Setup { machine: machine::describe(), quick: args.quick, debug: args.debug };
    let mut results = Results::create(&file, setup)?;
    eprintln!("all runs go to {}", file.display());
    let rounds = args.rounds.unwrap_or(if args.quick { 1 } else { 3 });
    let mut bench = Bench::start(&workdir, paths::built("jackfield-bench", !args.debug)?).await?;
    for round in 1..=rounds {
        for scenario in &scenarios {
            for program in peers.iter().filter(|program| scenario.supports(program.peer)) {
                let outcome = bench.run(program, *scenario, &sizes).await;
                eprintln!("round {round} of {rounds}, {scenario}, {}: {}", program.peer, progress(*scenario, &outcome));
                results.add(Run { round, scenario: *scenario, peer: program.peer, outcome: outcome.ok() })?;
            }
        }
    }
    bench.stop().await;
    print!("{}", table::all(&results));
    ensure!(results.runs.iter().any(|run| run.outcome.is_some()), "no run succeeded");
    Ok(())
}

/// The named ones, or all of them; each once.
fn chosen<T: ValueEnum + PartialEq>(named: &[T]) -> Vec<T> {
    let all = T::value_variants().iter().cloned();
    all.filter(|value| named.is_empty() || named.contains(value)).collect()
}

/// The result of a run in a few words.
fn progress(scenario: Scenario, outcome: &Result<Value>) -> String {
    match outcome {
        Ok(outcome) => {
            let figure = scenario.figure();
            let value = figure.of(outcome).map_or_else(|| "no figure".into(), |value| table::number(value, figure));
            let share = |name: &str| outcome[name].as_f64().unwrap_or_default() * 100.0;
            let (stolen, others) = (share("stolen"), share("others"));
            format!("{value} {}; CPU time stolen {stolen:.0} %, other processes {others:.0} %", figure.unit())
        }
        Err(error) => format!("failed: {error:#}"),
    }
}

async fn build(args: &Args) -> Result<()> {
    if args.no_build {
        return Ok(());
    }
    let ours = args.gateway.is_none() && chosen(&args.peers).iter().any(|peer| peer.engine().is_some());
    if ours {
        node_packages::browser_client().await?;
    }
    let gateway = ["--bin", "jackfield-gateway"];
    let programs = [&["--bin", "jackfield-bench"][..], if ours { &gateway } else { &[] }].concat();
    cargo::build(&programs, !args.debug).await
}

/// The programs of the peers; those whose runtime is missing are left out, with a sentence.
async fn prepare(peers: &[Peer], args: &Args) -> Result<Vec<Program>> {
    let gateway = match &args.gateway {
        Some(program) => program.canonicalize().with_context(|| program.display().to_string())?,
        None => paths::built("jackfield-gateway", !args.debug)?,
    };
    let mut programs = Vec::new();
    for peer in peers {
        match peer.prepare(&gateway).await {
            Ok(program) => programs.push(program),
            Err(error) => eprintln!("{peer} is skipped: {error:#}"),
        }
    }
    if programs.is_empty() {
        bail!("there is no server to measure");
    }
    Ok(programs)
}

/// A new file in `target/bench/`.
fn results_file() -> Result<PathBuf> {
    let program = paths::beside("xtask")?;
    let target =
        program.ancestors().nth(2).map(Path::to_path_buf).context("this program is not in a target directory")?;
    let folder = target.join("bench");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(folder.join(format!("{}.jsonl", since.as_secs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_measured_unless_something_is_named() {
        assert_eq!(chosen::<Peer>(&[]).len(), Peer::value_variants().len());
        assert_eq!(chosen(&[Peer::Node, Peer::Jackfield, Peer::Node]), [Peer::Jackfield, Peer::Node]);
    }
}
