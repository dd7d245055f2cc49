//! Calls of cargo.

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;

use crate::{output::Running, places};

/// `cargo …` in the repository, its output passed on (to standard error: standard output is for results).
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(places::root()).stdin(std::process::Stdio::null()).stdout(std::io::stderr());
    command
}

/// Builds the product's programs. All of them at once: then features are those of every other build of the workspace,
/// and nothing is compiled twice. Without optimisations also those that tests add: such a program is for tests, or for trying.
pub async fn build(release: bool) -> Result<()> {
    let mut command = cargo(&["build", "--workspace", "--bins"]);
    command.args(if release { &["--release"][..] } else { &["--test", "dockerfiles"] });
    run("cargo build", command).await
}

/// Runs it to a good end, its output [passed on](crate::output). Given up before that, it is asked to end with everything that
/// it started.
pub async fn run(name: &str, mut command: Command) -> Result<()> {
    command.process_group(0);
    let mut running = Running::start(command).with_context(|| format!("{name} could not be started"))?;
    let mut group = Group(running.child.id().and_then(|pid| Pid::from_raw(pid.try_into().ok()?)));
    let status = running.ended().await?;
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
