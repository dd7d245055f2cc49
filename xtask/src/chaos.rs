//! `cargo xtask chaos`: builds the fault test, and the gateway that it starts, and replaces this process with it.

use std::{ffi::OsString, os::unix::process::CommandExt, process::Command};

use anyhow::{Context, Result};
use xtask_kit::paths;

use crate::cargo::{self, Build};

#[derive(clap::Args)]
pub struct Args {
    /// Options of the fault test; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    args: Vec<OsString>,
}

/// With these options the fault test starts no gateway.
const WITHOUT_GATEWAY: [&str; 4] = ["--url", "--self-test", "--help", "-h"];

/// Handles `--release` and `--no-build`, and passes all other arguments on.
pub async fn run(args: &Args) -> Result<()> {
    let name = |arg: &OsString| arg.to_string_lossy().split('=').next().unwrap_or_default().to_owned();
    let given = |option: &str| args.args.iter().any(|arg| name(arg) == option);
    let build = Build { release: given("--release"), no_build: given("--no-build") };
    if !build.no_build && WITHOUT_GATEWAY.into_iter().any(given) {
        cargo::build(&["--bin", "chaos"], build.release).await?;
    } else {
        build.run().await?;
    }
    let program = paths::built("chaos", build.release)?;
    let passed_on = args.args.iter().filter(|arg| *arg != "--release" && *arg != "--no-build");
    Err(Command::new(&program).args(passed_on).exec()).with_context(|| program.display().to_string())
}
