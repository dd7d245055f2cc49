//! Calls of cargo.

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;
use xtask_kit::paths;

use crate::{node_packages, output::Running};

/// `cargo …` in the repository, its output passed on (to standard error: standard output is for results).
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(paths::root()).stdout(std::io::stderr());
    command
}

/// Options of every command that builds the product's programs.
#[derive(clap::Args, Clone, Copy, Default)]
pub struct Build {
    /// Build with optimisations
    #[arg(long)]
    pub release: bool,
    /// Use the programs of the last build
    #[arg(long)]
    pub no_build: bool,
}

impl Build {
    /// Builds the browser client and the programs, unless they are not to be built.
    pub async fn run(self) -> Result<()> {
        if self.no_build {
            return Ok(());
        }
        node_packages::browser_client().await?;
        build(&["--bins"], self.release).await
    }
}

/// Builds the product's programs (`--bins`), or one of them, with one command: the features are then the same as in every
/// other build of the workspace, and nothing is compiled twice. A debug build also has the features that tests add: it
/// is for tests and for trying.
pub async fn build(what: &[&str], release: bool) -> Result<()> {
    let mut command = cargo(&["build", "--workspace"]);
    command.args(what).args(if release { &["--release"][..] } else { &["--test", "dockerfiles"] });
    run("cargo build", command).await
}

/// Runs a command and fails if it does; its output is [passed on](crate::output). If the future is dropped before that,
/// the command and everything that it started get SIGTERM.
pub async fn run(name: &str, mut command: Command) -> Result<()> {
    // In a process group of its own, it could not read from a terminal anyway.
    command.process_group(0).stdin(std::process::Stdio::null());
    let mut running = Running::start(command).with_context(|| format!("{name} could not be started"))?;
    let mut group = Group(running.child.id().and_then(|pid| Pid::from_raw(pid.try_into().ok()?)));
    let status = running.ended().await?;
    group.0 = None;
    ensure!(status.success(), "{name} failed ({})", xtask_kit::process::describe(status));
    Ok(())
}

/// A process group that gets SIGTERM when this is dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // The processes may have ended already.
            let _ = kill_process_group(leader, Signal::TERM);
        }
    }
}
