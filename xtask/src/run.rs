//! `cargo xtask run`: everything in one process.

use std::{os::unix::process::CommandExt, process::Command};

use anyhow::{Context, Result};
use xtask_kit::places;

use crate::{cargo, node_packages};

#[derive(clap::Args)]
pub struct Args {
    /// With optimisations
    #[arg(long)]
    release: bool,
    /// Take the program as it was built last
    #[arg(long)]
    no_build: bool,
    /// Passed on to the program: `-- --set port=4000`
    #[arg(last = true)]
    args: Vec<String>,
}

/// Builds the standalone program and replaces this process with it: signals, terminal and exit code are its own.
pub async fn run(args: &Args) -> Result<()> {
    if !args.no_build {
        node_packages::browser_client().await?;
        cargo::build(args.release).await?;
    }
    let program = places::built("jackfield", args.release)?;
    Err(Command::new(&program).args(&args.args).exec()).with_context(|| program.display().to_string())
}
