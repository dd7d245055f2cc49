//! `cargo xtask lint`: formatting, clippy and unused dependencies. It is no part of `cargo xtask test`: a newer compiler
//! may warn about more, and that must not fail the tests.

use std::{process::ExitCode, time::Instant};

use anyhow::Result;
use tokio::process::Command;
use xtask_kit::paths;

use crate::{
    cargo::{self, cargo},
    test::{Kind, OutputMode, Report, step},
};

/// The version of `cargo-machete`, which finds dependencies that no code names.
const MACHETE: &str = "0.9.2";

/// Runs all of it; fails if anything is found.
pub async fn run() -> Result<ExitCode> {
    let begun = Instant::now();
    let fmt = cargo::run("cargo fmt", cargo(&["fmt", "--all", "--check"]));
    let fmt = step("fmt", Kind::Tests, OutputMode::Live, fmt).await;
    let clippy = cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    let clippy = step("clippy", Kind::Tests, OutputMode::Live, cargo::run("cargo clippy", clippy)).await;
    let unused = step("unused-dependencies", Kind::Tests, OutputMode::Live, unused_dependencies()).await;
    Ok(Report { lines: vec![fmt, clippy, unused], seconds: begun.elapsed().as_secs_f64() }.conclude())
}

/// Installs the tool into the user's cache folder where it is missing.
async fn unused_dependencies() -> Result<()> {
    let folder = paths::cache()?.join(format!("cargo-machete-{MACHETE}"));
    let machete = folder.join("bin/cargo-machete");
    if !machete.exists() {
        let mut install = cargo(&["install", "--locked", "--version", MACHETE, "cargo-machete", "--root"]);
        install.arg(&folder);
        cargo::run("cargo install cargo-machete", install).await?;
    }
    let mut unused = Command::new(machete);
    unused.arg(paths::root()).stdout(std::io::stderr());
    cargo::run("cargo machete", unused).await
}
