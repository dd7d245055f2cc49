//! The folder of one running cluster or test run: data, logs and the control socket. It is removed at the end.
//!
//! A user's folders are `<temp>/jackfield-<uid>/<name>`. A folder whose owner was killed has a control socket without a
//! listener; the next cluster or test run removes it.

use std::{
    fs::{self, DirBuilder},
    io::ErrorKind,
    os::unix::{
        fs::{DirBuilderExt, MetadataExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::{Context, Result, ensure};
use tokio::net::UnixListener;

const SOCKET: &str = "control.sock";
/// Number of folders that this process has begun to make.
static CREATED: AtomicU64 = AtomicU64::new(0);

/// Owned by this process; removed on drop.
pub struct Workdir {
    path: PathBuf,
    /// The folder for log files: this one, unless they are to be kept.
    pub logs: PathBuf,
    /// Name of the folder, and of the cluster.
    pub name: String,
}

impl Workdir {
    /// Makes the folder, with a socket in it that we listen on. Log files go into `logs`, and are kept, if there is one.
    pub fn create(name: &str, logs: Option<&Path>) -> Result<(Self, UnixListener)> {
        let allowed = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        ensure!(allowed, "the name `{name}` may contain only letters, digits, `-` and `_`");
        let parent = parent()?;
        let path = parent.join(name);
        let logs = match logs {
            Some(logs) => {
                fs::create_dir_all(logs).with_context(|| logs.display().to_string())?;
                logs.canonicalize()?
            }
            None => path.clone(),
        };
        remove_stale(&parent);
        // The socket is there before the folder gets its name, so a named folder always has a listener.
        let number = CREATED.fetch_add(1, Ordering::Relaxed);
        let unnamed = parent.join(format!(".new-{}-{number}", std::process::id()));
        make(&unnamed)?;
        let mut workdir = Self { path: unnamed, logs, name: name.into() };
        let listener = UnixListener::bind(workdir.path.join(SOCKET)).context("control socket")?;
        fs::rename(&workdir.path, &path).with_context(|| format!("a cluster named `{name}` already runs"))?;
        workdir.path = path;
        Ok((workdir, listener))
    }

    /// A new folder inside it.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        make(&path)?;
        Ok(path)
    }
}

impl Drop for Workdir {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Names and control sockets of this user's running clusters.
pub fn running() -> Result<Vec<(String, PathBuf)>> {
    let parent = parent()?;
    let mut found: Vec<(String, PathBuf)> = folders(&parent)
        .filter_map(|folder| {
            let socket = folder.join(SOCKET);
            let name = folder.file_name()?.to_str()?.to_owned();
            (!name.starts_with('.') && UnixStream::connect(&socket).is_ok()).then_some((name, socket))
        })
        .collect();
    found.sort();
    Ok(found)
}

/// The folder that holds those of all that this user runs.
pub fn parent() -> Result<PathBuf> {
    let uid = rustix::process::getuid().as_raw();
    let path = std::env::temp_dir().join(format!("jackfield-{uid}"));
    match make(&path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error).context("folder for clusters"),
        _ => {}
    }
    let found = fs::symlink_metadata(&path)?;
    ensure!(found.is_dir() && found.uid() == uid, "{} is not a folder of this user", path.display());
    Ok(path)
}

/// Other users may pass through (Postgres runs as another user than root) but not list it.
fn make(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().mode(0o711).create(path)
}

fn folders(parent: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| path.is_dir())
}

fn remove_stale(parent: &Path) {
    for folder in folders(parent) {
        let refused = UnixStream::connect(folder.join(SOCKET)).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused);
        if refused {
            remove(&folder);
        }
    }
}

fn remove(path: &Path) {
    // A server that was killed a moment ago may still write: the next try removes those files.
    let gone = (0..5).any(|_| fs::remove_dir_all(path).is_ok() || !path.exists());
    if !gone {
        eprintln!("cannot remove {}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn is_listed_until_it_is_dropped() {
        let name = format!("test-{}", std::process::id());
        let (workdir, listener) = Workdir::create(&name, None).unwrap();
        let path = workdir.path.clone();
        assert!(running().unwrap().iter().any(|(found, _)| *found == name));
        assert!(Workdir::create(&name, None).err().unwrap().to_string().contains("already"));
        drop((workdir, listener));
        assert!(!path.exists());
        assert!(Workdir::create("a/b", None).is_err());
    }

    #[tokio::test]
    async fn several_are_made_at_the_same_time() {
        let runtime = tokio::runtime::Handle::current();
        let make = |name: String| {
            let _entered = runtime.enter();
            drop(Workdir::create(&name, None).unwrap());
        };
        std::thread::scope(|scope| {
            for number in 0..8 {
                let name = format!("test-{}-{number}", std::process::id());
                let make = &make;
                scope.spawn(move || make(name));
            }
        });
    }
}
