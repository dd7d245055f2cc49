//! The test of `deploy/prometheus`: Prometheus accepts its rules and its configuration, and each alert fires when it
//! should and not before.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;
use xtask_kit::paths;

use crate::cargo;

/// Runs Prometheus's own checker.
pub async fn test() -> Result<()> {
    promtool(&["check", "rules"], files("rules")?).await?;
    promtool(&["check", "config"], vec![folder().join("prometheus.yml")]).await?;
    promtool(&["test", "rules"], files("tests")?).await
}

async fn promtool(what: &[&str], files: Vec<PathBuf>) -> Result<()> {
    let program = paths::which("promtool").context("promtool is not installed; `cargo xtask install`")?;
    let mut command = Command::new(program);
    command.args(what).args(files).stdout(std::io::stderr());
    cargo::run(&format!("promtool {}", what.join(" ")), command).await
}

fn folder() -> PathBuf {
    paths::root().join("deploy/prometheus")
}

fn files(inside: &str) -> Result<Vec<PathBuf>> {
    let folder = folder().join(inside);
    let mut files: Vec<PathBuf> = folder.read_dir()?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    ensure!(!files.is_empty(), "no files in {}", folder.display());
    Ok(files)
}
