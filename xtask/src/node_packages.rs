//! The repository's node packages: the stock browser client that the gateway serves, the end-to-end tests, and the
//! examples that they run.

use std::path::PathBuf;

use anyhow::{Context, Result};
use tokio::process::Command;
use xtask_kit::paths;

use crate::{cargo, output};

/// Installs the browser client, which the gateway's build embeds. Everything works without it but
/// `GET /socket.io/socket.io.js` and the page, so a missing npm is only reported.
pub async fn browser_client() -> Result<()> {
    if paths::which("npm").is_some() {
        return install("gateway/client").await;
    }
    if !folder("gateway/client").join("node_modules").is_dir() {
        eprintln!(
            "npm is not installed: the gateway will not serve /socket.io/socket.io.js, and the demo page will not work"
        );
    }
    Ok(())
}

/// Runs `npm ci` if the packages are missing or older than the lock file.
pub async fn install(package: &str) -> Result<()> {
    let folder = folder(package);
    let lock = folder.join("package-lock.json");
    let changed = |file: PathBuf| file.metadata().and_then(|meta| meta.modified());
    let wanted = changed(lock).with_context(|| format!("{package}/package-lock.json"))?;
    // npm writes this file last.
    if changed(folder.join("node_modules/.package-lock.json")).is_ok_and(|installed| installed >= wanted) {
        return Ok(());
    }
    output::print(&format!("npm ci in {package}"));
    let mut npm = Command::new(paths::which("npm").context("npm is not installed; it comes with Node.js")?);
    npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder).stdout(std::io::stderr());
    cargo::run(&format!("npm ci in {package}"), npm).await
}

fn folder(package: &str) -> PathBuf {
    paths::root().join(package)
}
