//! `cargo xtask test`: everything that is checked, in one command. The first step that fails fails the run.

use std::{path::PathBuf, process::Stdio, time::Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use tokio::process::Command;

use crate::{
    cargo::{self, cargo},
    ending::Ending,
    install, k8s, node_packages, places,
    ports::Ports,
    python, rules,
    servers::{postgres::Postgres, redis::Redis},
    workdir::Workdir,
};

#[derive(clap::Args)]
pub struct Args {
    /// Run only tests whose names contain this; then no fmt and no clippy
    filter: Option<String>,
    /// Run one step only
    #[arg(long)]
    only: Option<Step>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    Fmt,
    Clippy,
    Cargo,
    K8s,
    Rules,
    E2e,
    Fuzz,
    Chaos,
    Load,
}

impl Step {
    const ALL: [Self; 9] =
        [Self::Fmt, Self::Clippy, Self::Cargo, Self::K8s, Self::Rules, Self::E2e, Self::Fuzz, Self::Chaos, Self::Load];
}

/// Runs the steps that were asked for.
pub async fn run(args: &Args) -> Result<()> {
    let mut ending = Ending::listen()?;
    tokio::select! {
        result = all(args) => result,
        why = ending.wait() => anyhow::bail!("{why}: the tests were not finished"),
    }
}

async fn all(args: &Args) -> Result<()> {
    let begun = Instant::now();
    let filter = args.filter.as_deref();
    let wanted = |step: Step| match (args.only, filter) {
        (Some(only), _) => only == step,
        (None, Some(filter)) => match step {
            Step::Cargo | Step::E2e => true,
            Step::K8s => filter == "k8s",
            Step::Rules => filter == "rules",
            Step::Fuzz => filter == "fuzz",
            Step::Chaos => filter == "chaos",
            Step::Load => filter == "load",
            Step::Fmt | Step::Clippy => false,
        },
        (None, None) => true,
    };
    timed("install", install::everything()).await?;
    if wanted(Step::Fmt) {
        timed("fmt", cargo::run("cargo fmt", cargo(&["fmt", "--all", "--check"]))).await?;
    }
    if wanted(Step::Clippy) {
        let clippy = cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
        timed("clippy", cargo::run("cargo clippy", clippy)).await?;
    }
    if wanted(Step::Cargo) {
        timed("cargo test", cargo_tests(filter)).await?;
    }
    if wanted(Step::K8s) {
        timed("k8s", k8s::test()).await?;
    }
    if wanted(Step::Rules) {
        timed("rules", rules::test()).await?;
    }
    if [Step::E2e, Step::Fuzz, Step::Chaos, Step::Load].into_iter().any(wanted) {
        timed("build for e2e, fuzz, chaos and load", cargo::build(false)).await?;
    }
    if wanted(Step::E2e) {
        timed("e2e", end_to_end(filter)).await?;
    }
    if wanted(Step::Fuzz) {
        timed("fuzz", fuzz()).await?;
    }
    if wanted(Step::Chaos) {
        timed("chaos", chaos()).await?;
    }
    if wanted(Step::Load) {
        timed("load", load()).await?;
    }
    let left_out = Step::ALL.iter().filter(|step| !wanted(**step)).count();
    let note = if left_out > 0 { format!(" ({left_out} steps left out, as asked)") } else { String::new() };
    eprintln!("== all good in {:.0} s{note}", begun.elapsed().as_secs_f64());
    Ok(())
}

async fn timed<T>(name: &str, step: impl Future<Output = Result<T>>) -> Result<T> {
    eprintln!("== {name}");
    let begun = Instant::now();
    let result = step.await;
    let seconds = begun.elapsed().as_secs_f64();
    match &result {
        Ok(_) => eprintln!("== {name}: ok in {seconds:.1} s"),
        Err(_) => eprintln!("== {name}: FAILED after {seconds:.1} s"),
    }
    result
}

/// Unit, property, contract and integration tests, with servers that are thrown away after.
async fn cargo_tests(filter: Option<&str>) -> Result<()> {
    let (workdir, _listener) = Workdir::create(&format!("test-{}", std::process::id()))?;
    let mut ports = Ports::default();
    let (redis, postgres) = (ports.next()?, ports.next()?);
    let (redis, postgres) = tokio::try_join!(Redis::start(&workdir, redis), Postgres::start(&workdir, postgres))?;
    let mut tests = cargo(&["test", "--workspace"]);
    tests.env("TEST_REDIS_URL", redis.url()).env("TEST_POSTGRES_URL", postgres.url()).args(filter);
    cargo::run("cargo test", tests).await
}

/// The tests with real clients. A filter chooses files by their names, or else tests.
async fn end_to_end(filter: Option<&str>) -> Result<()> {
    let folder = places::root().join("gateway/e2e");
    let mut files: Vec<PathBuf> =
        folder.read_dir()?.flatten().map(|entry| entry.path()).filter(|path| is_test(path)).collect();
    files.sort();
    ensure!(!files.is_empty(), "no end-to-end tests in {}", folder.display());
    let mut node = Command::new("node");
    node.args(["--test", "--test-concurrency=1", "--test-reporter=spec"]);
    let named = |path: &PathBuf, filter| path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.contains(filter));
    if let Some(filter) = filter {
        if files.iter().any(|path| named(path, filter)) {
            files.retain(|path| named(path, filter));
        } else {
            node.arg(format!("--test-name-pattern={filter}"));
        }
    }
    node.args(files).current_dir(&folder);
    node.env("XTASK", places::built("xtask", false)?).env("CHROMIUM", install::chromium().context("no Chromium")?);
    node.env("PYTHON", python::programs("gateway/e2e/requirements.txt").await?.join("python"));
    node_packages::install("gateway/e2e").await?;
    cargo::run("node --test", node).await
}

/// Both HTTP interfaces against their documents; the seed is always the same.
async fn fuzz() -> Result<()> {
    let mut fuzz = Command::new(places::built("xtask", false)?);
    fuzz.args(["fuzz", "--no-build"]).stdin(Stdio::null()).stdout(std::io::stderr());
    cargo::run("cargo xtask fuzz", fuzz).await
}

/// A short storm: what it draws is printed with its seed.
async fn chaos() -> Result<()> {
    let mut chaos = Command::new(places::built("xtask", false)?);
    chaos.args(["chaos", "--short", "--no-build"]).stdin(Stdio::null()).stdout(std::io::stderr());
    cargo::run("cargo xtask chaos --short", chaos).await
}

/// The load tests' own library, and a short form of every scenario: that they work, not how fast anything is.
async fn load() -> Result<()> {
    let mut node = Command::new("node");
    node.args(["--test", "--test-reporter=spec"]).current_dir(places::root().join("loadtest"));
    cargo::run("node --test", node).await?;
    let mut load = Command::new(places::built("xtask", false)?);
    load.args(["load", "all", "--short", "--no-build"]).stdin(Stdio::null()).stdout(std::io::stderr());
    cargo::run("cargo xtask load all --short", load).await
}

fn is_test(path: &std::path::Path) -> bool {
    path.to_str().is_some_and(|name| name.ends_with(".test.mjs"))
}
