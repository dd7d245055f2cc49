//! Calls of cargo.

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;

use crate::places;

/// `cargo …` in the repository, its output passed on (to standard error: standard output is for results).
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(places::root()).stdin(std::process::Stdio::null()).stdout(std::io::stderr());
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

/// Runs it to a good end. Given up before that, it is asked to end with everything that it started.
pub async fn run(name: &str, mut command: Command) -> Result<()> {
    let mut child = command.process_group(0).spawn().with_context(|| format!("{name} could not be started"))?;
    let mut group = Group(child.id().and_then(|pid| Pid::from_raw(pid.try_into().ok()?)));
    let status = child.wait().await?;
    group.0 = None;
    ensure!(status.success(), "{name} failed ({})", crate::child::describe(status));
    Ok(())
}

/// A process group that must not go on without us.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // They may be gone already.
            let _ = kill_process_group(leader, Signal::TERM);
        }
    }
}
