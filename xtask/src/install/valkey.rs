//! Installs Valkey, which not every system offers: tests over it are left out where it cannot be installed.

use anyhow::{Context, Result, bail, ensure};
use rustix::process::getuid;
use tokio::process::Command;
use xtask_kit::{paths, servers::redis::topology::Kind};

use crate::{cargo, output};

/// See the script.
const SCRIPT: &str = include_str!("valkey.sh");

/// Installs it where it is missing; fails if it cannot be installed, with the reason.
pub async fn install() -> Result<()> {
    if is_present() {
        return Ok(());
    }
    let please = "please install: Valkey 8 (valkey-server)";
    let sudo = if getuid().is_root() { None } else { paths::which("sudo") };
    if paths::which("apt-get").is_none() || (sudo.is_none() && !getuid().is_root()) {
        bail!("{please}");
    }
    output::print("installing with apt: Valkey");
    let mut command = Command::new(sudo.as_deref().unwrap_or("env".as_ref()));
    command.args(sudo.iter().flat_map(|_| ["--non-interactive", "env"])).args(["sh", "-c", SCRIPT]);
    command.stdout(std::io::stderr());
    cargo::run("apt-get install valkey-server", command).await.context(please)?;
    ensure!(is_present(), "apt-get installed valkey-server, but it is not on the search path");
    Ok(())
}

/// Whether its program is on the search path.
pub fn is_present() -> bool {
    paths::which(Kind::Valkey.program()).is_some()
}

/// Whether tests may be left out because a program cannot be installed.
pub fn may_be_missing() -> bool {
    std::env::var_os("CI").is_none_or(|ci| ci != "true")
}

/// Installs it, or says that tests over it are left out; fails only in CI.
pub async fn try_install() -> Result<()> {
    match install().await {
        Err(error) if may_be_missing() => {
            output::print(&format!("no Valkey, so tests over it are left out: {error:#}"));
            Ok(())
        }
        result => result,
    }
}
