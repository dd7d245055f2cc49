//! Calls of cargo.

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::places;

/// `cargo …` in the repository, its output passed on (to standard error: standard output is for results).
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(places::root()).stdin(std::process::Stdio::null()).stdout(std::io::stderr());
    command.kill_on_drop(true);
    command
}

/// Builds the product's programs. All of them at once: then features are those of every other build of the workspace,
/// and nothing is compiled twice.
pub async fn build(release: bool) -> Result<()> {
    let mut command = cargo(&["build", "--workspace", "--bins"]);
    if release {
        command.arg("--release");
    }
    run("cargo build", command).await
}

/// Runs it to a good end.
pub async fn run(name: &str, mut command: Command) -> Result<()> {
    let status = command.status().await.with_context(|| format!("{name} could not be started"))?;
    ensure!(status.success(), "{name} failed ({})", crate::child::describe(status));
    Ok(())
}
