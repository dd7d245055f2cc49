//! `cargo xtask lint`: formatting and clippy, for people who change the code. It is no part of `cargo xtask test`: a
//! newer compiler may warn of more, and that must not keep anybody from running the tests.

use std::{process::ExitCode, time::Instant};

use anyhow::{Result, bail};
use xtask_kit::ending::Ending;

use crate::{
    cargo::{self, cargo},
    test::{Kind, Report, Voice, step},
};

/// Runs all of it; fails if anything is found.
pub async fn run() -> Result<ExitCode> {
    let mut ending = Ending::listen()?;
    let report = tokio::select! {
        report = all() => report,
        why = ending.wait() => bail!("{why}: not finished"),
    };
    println!("{report}");
    Ok(if report.good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn all() -> Report {
    let begun = Instant::now();
    let fmt = cargo::run("cargo fmt", cargo(&["fmt", "--all", "--check"]));
    let fmt = step("fmt", Kind::Tests, Voice::Live, fmt).await;
    let clippy = cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    let clippy = step("clippy", Kind::Tests, Voice::Live, cargo::run("cargo clippy", clippy)).await;
    Report { lines: vec![fmt, clippy], seconds: begun.elapsed().as_secs_f64() }
}
