//! `cargo xtask lint`: formatting and clippy. It is no part of `cargo xtask test`: a newer compiler may warn about more,
//! and that must not fail the tests.

use std::{process::ExitCode, time::Instant};

use anyhow::{Result, bail};
use xtask_kit::shutdown::Shutdown;

use crate::{
    cargo::{self, cargo},
    test::{Kind, OutputMode, Report, step},
};

/// Runs all of it; fails if anything is found.
pub async fn run() -> Result<ExitCode> {
    let mut shutdown = Shutdown::listen()?;
    let report = tokio::select! {
        report = all() => report,
        why = shutdown.requested() => bail!("{why}: stopped before the end"),
    };
    println!("{report}");
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn all() -> Report {
    let begun = Instant::now();
    let fmt = cargo::run("cargo fmt", cargo(&["fmt", "--all", "--check"]));
    let fmt = step("fmt", Kind::Tests, OutputMode::Live, fmt).await;
    let clippy = cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    let clippy = step("clippy", Kind::Tests, OutputMode::Live, cargo::run("cargo clippy", clippy)).await;
    Report { lines: vec![fmt, clippy], seconds: begun.elapsed().as_secs_f64() }
}
