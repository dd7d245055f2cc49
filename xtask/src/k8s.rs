//! The test of `k8s/`: both overlays are built and held against the schemas of Kubernetes, and against the repository.
//!
//! The rules are Python's, beside what they judge ([`k8s/test`](../../../k8s/test)), because the package with the schemas
//! is. Here is only what they need: that package, and a program that builds overlays.

use std::path::PathBuf;

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::{cargo, output, places, python};

const REQUIREMENTS: &str = "k8s/test/requirements.txt";
/// Built where there is no kubectl; the newest that Go 1.26 takes.
const KUSTOMIZE: &str = "5.8.2";

/// The package, and where there is neither kubectl nor kustomize, kustomize.
pub async fn install() -> Result<()> {
    python::programs(REQUIREMENTS).await?;
    builder().await.map(drop)
}

/// Runs the rules on both overlays, and on overlays that were broken on purpose.
pub async fn test() -> Result<()> {
    let python = python::programs(REQUIREMENTS).await?.join("python");
    let mut rules = Command::new(python);
    // Leaves nothing behind in the repository.
    rules.args(["-B", "k8s/test/test_manifests.py"]).current_dir(places::root()).env("KUSTOMIZE", builder().await?);
    cargo::run("the test of k8s/", rules).await
}

/// A command that builds an overlay, short of the overlay.
async fn builder() -> Result<String> {
    if places::on_path("kubectl").is_some() {
        return Ok("kubectl kustomize".into());
    }
    let build = |program: PathBuf| format!("{} build", program.display());
    if let Some(program) = places::on_path("kustomize") {
        return Ok(build(program));
    }
    let folder = places::cache()?.join(format!("kustomize-{KUSTOMIZE}"));
    let program = folder.join("kustomize");
    if !program.is_file() {
        output::say(&format!("building kustomize in {}", folder.display()));
        let mut go = Command::new("go");
        go.arg("install").arg(format!("sigs.k8s.io/kustomize/kustomize/v5@v{KUSTOMIZE}")).env("GOBIN", &folder);
        cargo::run("go install", go).await.context("please install: kubectl")?;
    }
    Ok(build(program))
}
