//! The work of each step.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;
use xtask_kit::{
    paths,
    ports::Ports,
    servers::{
        postgres::Postgres,
        redis::{
            Redis,
            topology::{Setup, Topology},
        },
    },
    workdir::Workdir,
};

use crate::{
    cargo::{self, cargo},
    install, node_packages, python,
};

/// Files with end-to-end tests that run at the same time, each against clusters of its own. They mostly wait: for a
/// lease, a grace, a drain.
const FILES_AT_ONCE: usize = 3;
/// No file takes nearly as long. One that does hangs: it is ended and reported, and the run goes on with the others.
const FILE_LIMIT: Duration = Duration::from_mins(10);
/// How their names end.
const END_TO_END: &str = ".test.mjs";
/// Those that run with both engines.
const WITH_OXIDE: [&str; 7] = ["binary", "chat", "connect", "handshake", "packets", "rooms-join", "rooms-messages"];
/// Rust tests mostly wait, too; by default no more would run at once than there are processors.
const TESTS_AT_ONCE: &str = "6";

/// Builds tests and programs together. The other steps use the programs that Cargo builds for the integration tests of
/// their packages: a separate build would have other features of the dependencies, and compile most of them again.
pub async fn build() -> Result<()> {
    cargo::run("cargo test --no-run", cargo(&["test", "--workspace", "--no-run"])).await?;
    for program in ["chaos", "jackfield", "jackfield-auth", "jackfield-bench", "jackfield-gateway", "xtask"] {
        let file = paths::built(program, false)?;
        ensure!(file.is_file(), "the build did not produce {}", file.display());
    }
    Ok(())
}

/// Unit, property, contract and integration tests, with servers that are thrown away after.
pub async fn cargo_tests(filter: Option<&str>) -> Result<()> {
    let (workdir, _listener) = Workdir::create(&format!("test-{}", std::process::id()), None)?;
    let mut ports = Ports::new()?;
    let (redis, postgres) = (ports.reserve()?, ports.reserve()?);
    let (redis, postgres) = tokio::try_join!(Redis::start(&workdir, redis), Postgres::start(&workdir, postgres))?;
    let mut tests = cargo(&["test", "--workspace", "--no-fail-fast"]);
    tests.env("TEST_REDIS_URL", redis.url()).env("TEST_POSTGRES_URL", postgres.url()).args(filter);
    tests.env("RUST_TEST_THREADS", TESTS_AT_ONCE);
    cargo::run("cargo test", tests).await
}

/// The contract tests of the cluster's ports, over the Redis of a topology.
pub async fn contracts(redis: Setup, filter: Option<&str>) -> Result<()> {
    let program = test_program("jackfield-cluster", "it").await?;
    let (workdir, _listener) = Workdir::create(&format!("test-{}-{redis}", std::process::id()), None)?;
    let mut ports = Ports::new()?;
    let topology = Topology::start(redis, &workdir, &mut ports).await?;
    let mut tests = Command::new(program);
    // Those in memory, and those that start servers themselves, have run already.
    let skipped = ["memory::", "failover::", "durability", "redis_cluster::", "heard_again::", "added_redis::"];
    tests.args(skipped.iter().flat_map(|name| ["--skip", name])).args(filter);
    tests.current_dir(paths::root().join("gateway/cluster")).stdout(std::io::stderr());
    tests.envs(topology.env().into_iter().map(|(name, value)| (format!("TEST_{name}"), value)));
    tests.env("TEST_REDIS_NODES", topology.direct()).env("RUST_TEST_THREADS", TESTS_AT_ONCE);
    cargo::run(&format!("contract tests, {redis}"), tests).await
}

/// An integration test's program, from the build of the whole workspace.
async fn test_program(package: &str, target: &str) -> Result<PathBuf> {
    let mut build =
        cargo(&["test", "--workspace", "--no-run", "--quiet", "--message-format", "json-render-diagnostics"]);
    let output = build.stdout(Stdio::piped()).stderr(Stdio::inherit()).output().await?;
    ensure!(output.status.success(), "cargo test --no-run failed");
    let artifacts = String::from_utf8_lossy(&output.stdout);
    let artifacts = artifacts.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let is_it = |artifact: &serde_json::Value| {
        let id = artifact["package_id"].as_str().unwrap_or_default();
        artifact["target"]["name"] == target && id.contains(package)
    };
    let found =
        artifacts.into_iter().find(is_it).and_then(|artifact| artifact["executable"].as_str().map(PathBuf::from));
    found.with_context(|| format!("no test program `{target}` of {package}"))
}

/// The tests with real clients. A filter chooses files by their names, or else tests.
pub async fn end_to_end(filter: Option<&str>) -> Result<()> {
    let mut files = end_to_end_files()?;
    let mut pattern = None;
    if let Some(filter) = filter {
        match files.iter().any(|file| file.contains(filter)) {
            true => files.retain(|file| file.contains(filter)),
            false => pattern = Some(format!("--test-name-pattern={filter}")),
        }
    }
    end_to_end_of(&files, pattern, None).await
}

/// The tests of [`WITH_OXIDE`], with the engine on a library.
pub async fn end_to_end_with_oxide() -> Result<()> {
    let mut files = end_to_end_files()?;
    files.retain(|file| WITH_OXIDE.iter().any(|name| file.strip_suffix(END_TO_END) == Some(name)));
    ensure!(files.len() == WITH_OXIDE.len(), "files of {WITH_OXIDE:?} are missing");
    end_to_end_of(&files, None, Some("oxide")).await
}

/// The names of all files.
fn end_to_end_files() -> Result<Vec<String>> {
    let folder = paths::root().join("e2e");
    let entries = folder.read_dir()?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut files: Vec<String> = entries.filter(|name| name.ends_with(END_TO_END)).collect();
    files.sort();
    ensure!(!files.is_empty(), "no end-to-end tests in {}", folder.display());
    Ok(files)
}

async fn end_to_end_of(files: &[String], pattern: Option<String>, engine: Option<&str>) -> Result<()> {
    let mut node = Command::new("node");
    node.arg("--test").arg(format!("--test-concurrency={FILES_AT_ONCE}")).arg("--test-reporter=spec");
    node.arg(format!("--test-timeout={}", FILE_LIMIT.as_millis())).args(pattern);
    node.args(files).current_dir(paths::root().join("e2e"));
    node.env("XTASK", paths::built("xtask", false)?)
        .env("CHROMIUM", install::chromium().context("Chromium is not installed; `cargo xtask install`")?);
    node.env("PYTHON", python::programs(install::E2E).await?.join("python"));
    if let Some(engine) = engine {
        node.env("ENGINE", engine);
    }
    node_packages::install("e2e").await?;
    node_packages::install("examples/backend-node").await?;
    cargo::run("node --test", node).await
}

/// The library of the load tests.
pub async fn load_library() -> Result<()> {
    let mut node = Command::new("node");
    node.args(["--test", "--test-reporter=spec"]).current_dir(paths::root().join("loadtest"));
    cargo::run("node --test", node).await
}

/// Another command of this program, as it was just built.
pub async fn command(args: &[&str]) -> Result<()> {
    let mut command = Command::new(paths::built("xtask", false)?);
    command.args(args).stdout(std::io::stderr());
    cargo::run(&format!("cargo xtask {}", args.join(" ")), command).await
}
