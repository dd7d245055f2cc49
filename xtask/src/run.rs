//! `cargo xtask run`: everything in one process.

use std::{os::unix::process::CommandExt, process::Command};

use anyhow::{Context, Result};
use xtask_kit::paths;

use crate::{cargo, node_packages};

#[derive(clap::Args)]
pub struct Args {
    /// Build with optimisations
    #[arg(long)]
    release: bool,
    /// Use the program of the last build
    #[arg(long)]
    no_build: bool,
    /// Arguments for the program: `-- --set port=4000`
    #[arg(last = true)]
    args: Vec<String>,
}

/// Builds the standalone program and replaces this process with it: signals, terminal and exit code are its own.
pub async fn run(args: &Args) -> Result<()> {
    if !args.no_build {
        node_packages::browser_client().await?;
        cargo::build(args.release).await?;
    }
    let program = paths::built("jackfield", args.release)?;
    Err(Command::new(&program).args(&args.args).exec()).with_context(|| program.display().to_string())
}
