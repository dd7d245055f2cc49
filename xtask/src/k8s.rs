//! The test of `k8s/`: builds the overlays and checks them against Kubernetes's schemas and against the repository.
//!
//! The rules are in [`k8s/test`](../../../k8s/test), and in Python, because the package with the schemas is. This
//! module only provides what they need: that package, and a program that builds overlays.

use std::path::PathBuf;

use anyhow::{Context, Result};
use tokio::process::Command;
use xtask_kit::paths;

use crate::{cargo, output, python};

const REQUIREMENTS: &str = "k8s/test/requirements.txt";
/// Built if there is neither kubectl nor kustomize; the newest version that Go 1.26 can build.
const KUSTOMIZE: &str = "5.8.2";

/// Installs the package, and kustomize if there is neither kubectl nor kustomize.
pub async fn install() -> Result<()> {
    python::programs(REQUIREMENTS).await?;
    builder().await.map(drop)
}

/// Runs the rules on the overlays, and on overlays that were broken on purpose.
pub async fn test() -> Result<()> {
    let python = python::programs(REQUIREMENTS).await?.join("python");
    let mut rules = Command::new(python);
    // `-B`: leave nothing behind in the repository.
    rules.args(["-B", "k8s/test/test_manifests.py"]).current_dir(paths::root()).env("KUSTOMIZE", builder().await?);
    cargo::run("the test of k8s/", rules).await
}

/// The command that builds an overlay, without its last argument: the overlay.
async fn builder() -> Result<String> {
    if paths::which("kubectl").is_some() {
        return Ok("kubectl kustomize".into());
    }
    let build = |program: PathBuf| format!("{} build", program.display());
    if let Some(program) = paths::which("kustomize") {
        return Ok(build(program));
    }
    let folder = paths::cache()?.join(format!("kustomize-{KUSTOMIZE}"));
    let program = folder.join("kustomize");
    if !program.is_file() {
        output::print(&format!("building kustomize in {}", folder.display()));
        let mut go = Command::new("go");
        go.arg("install").arg(format!("sigs.k8s.io/kustomize/kustomize/v5@v{KUSTOMIZE}")).env("GOBIN", &folder);
        cargo::run("go install", go).await.context("please install: kubectl")?;
    }
    Ok(build(program))
}
