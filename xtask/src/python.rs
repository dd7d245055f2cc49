//! Programs that come as Python packages: each set of them in an environment of its own, in the user's cache folder.
//!
//! A requirements file with hashes fixes the content of an environment; a changed file makes another environment, so
//! nothing is ever upgraded in place. Environments stay: they are made once, not in each run.

use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::process::Command;
use xtask_kit::paths;

use crate::{cargo, output};

/// Written last: an environment without this file is incomplete.
const FINISHED: &str = "finished";

/// Whether environments can be made here: Debian has `venv` in a package of its own.
pub fn present() -> bool {
    let mut python = std::process::Command::new("python3");
    python.args(["-c", "import ensurepip, venv"]).stderr(std::process::Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

/// The folder with the programs of that requirements file (a path in the repository), installed where they are missing.
pub async fn programs(requirements: &str) -> Result<PathBuf> {
    let file = paths::root().join(requirements);
    let wanted = fs::read(&file).with_context(|| file.display().to_string())?;
    let mut hasher = DefaultHasher::new();
    wanted.hash(&mut hasher);
    let parent = paths::cache()?.join("python");
    fs::create_dir_all(&parent).with_context(|| parent.display().to_string())?;
    let environment = parent.join(format!("{:016x}", hasher.finish()));
    let programs = environment.join("bin");
    if environment.join(FINISHED).exists() {
        return Ok(programs);
    }
    // A second process waits here, and then finds the environment finished.
    let _lock = lock(&environment.with_extension("lock")).await?;
    if !environment.join(FINISHED).exists() {
        output::print(&format!("installing {requirements} in {}", environment.display()));
        make(&environment, &file).await?;
        File::create(environment.join(FINISHED))?;
    }
    Ok(programs)
}

async fn make(environment: &Path, requirements: &Path) -> Result<()> {
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(environment).stdout(std::io::stderr());
    cargo::run("python3 -m venv", venv).await?;
    let mut pip = Command::new(environment.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", "--require-hashes"]);
    pip.arg("--requirement").arg(requirements).stdout(std::io::stderr());
    cargo::run("pip install", pip).await
}

/// Waits for the lock: [`paths::try_lock`].
async fn lock(path: &Path) -> Result<File> {
    loop {
        if let Some(lock) = paths::try_lock(path)? {
            return Ok(lock);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
