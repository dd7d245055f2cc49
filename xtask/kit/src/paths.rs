//! Paths in the repository and on this machine.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// The repository's root.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// This user's cache folder, for files that can be fetched again.
pub fn cache() -> Result<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    Ok(caches.context("neither XDG_CACHE_HOME nor HOME is set")?.join("jackfield"))
}

/// A program of this repository, built with that profile. The target directory is the one this program itself is in.
pub fn built(program: &str, release: bool) -> Result<PathBuf> {
    let folder = own_folder()?;
    let target = folder.parent().context("this program is not in a target directory")?;
    Ok(target.join(if release { "release" } else { "debug" }).join(program))
}

/// A program of this repository, built with this program's own profile.
pub fn beside(program: &str) -> Result<PathBuf> {
    Ok(own_folder()?.join(program))
}

/// Only the folder is used: after a build replaced this program, its name is `xtask (deleted)`.
fn own_folder() -> Result<PathBuf> {
    let me = std::env::current_exe().context("cannot find the path of this program")?;
    me.parent().map(Path::to_path_buf).context("this program has no parent folder")
}

/// Locks this file until it is dropped, or until this process dies; none if another process holds the lock.
pub fn try_lock(path: &Path) -> Result<Option<File>> {
    let file = File::create(path).with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// A program on the search path. Servers are often in `/usr/sbin`, which only root has on the path.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let extra = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(extra).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The folder that holds `postgres` and `initdb`: Debian's newest version, or the one on the search path.
pub fn postgres_bin() -> Option<PathBuf> {
    let both = |folder: &Path| ["postgres", "initdb"].iter().all(|program| folder.join(program).is_file());
    let version = |folder: &Path| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let mut versions: Vec<PathBuf> =
        fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    versions.sort_by_key(|folder| std::cmp::Reverse(version(folder)));
    let debian = versions.into_iter().map(|folder| folder.join("bin"));
    let elsewhere = which("postgres").and_then(|file| file.parent().map(Path::to_path_buf));
    debian.chain(elsewhere).find(|folder| both(folder))
}
