//! `cargo xtask run`: everything in one process.

use std::{os::unix::process::CommandExt, process::Command};

use anyhow::{Context, Result};
use xtask_kit::paths;

use crate::cargo::Build;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    build: Build,
    /// Arguments for the program: `-- --set port=4000`
    #[arg(last = true)]
    args: Vec<String>,
}

/// Builds the standalone program and replaces this process with it: signals, terminal and exit code are its own.
pub async fn run(args: &Args) -> Result<()> {
    args.build.run().await?;
    let program = paths::built("jackfield", args.build.release)?;
    Err(Command::new(&program).args(&args.args).exec()).with_context(|| program.display().to_string())
}
