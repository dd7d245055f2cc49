//! Free loopback ports, from below the range that the system hands to outgoing connections: a port from there could be
//! taken by any client while a stopped server is waiting to be started again on it.
//!
//! Another cluster cannot take it meanwhile either: each port has a file in a folder that all programs of this user
//! share, and the [`Ports`] that handed the port out hold a lock on that file until they are dropped.

use std::{
    collections::HashMap,
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    net::TcpListener,
    path::PathBuf,
};

use anyhow::{Context, Result, bail};

use crate::{paths, workdir};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// Hands out ports that were free a moment ago, each once, and holds them.
pub struct Ports {
    folder: PathBuf,
    held: HashMap<u16, File>,
}

impl Ports {
    /// Holds none yet.
    pub fn new() -> Result<Self> {
        let folder = workdir::parent()?.join(".ports");
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self { folder, held: HashMap::new() })
    }

    /// Reserves a free port; searches from a random one, so that clusters started together do not try the same ports.
    pub fn reserve(&mut self) -> Result<u16> {
        let start = RandomState::new().hash_one(()) % u64::from(COUNT);
        for step in 0..u64::from(COUNT) {
            let offset = (start + step) % u64::from(COUNT);
            let port = FIRST + u16::try_from(offset)?;
            if self.held.contains_key(&port) {
                continue;
            }
            let Some(lock) = paths::try_lock(&self.folder.join(port.to_string()))? else { continue };
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                self.held.insert(port, lock);
                return Ok(port);
            }
        }
        bail!("no free port between {FIRST} and {}", FIRST + COUNT)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn hands_out_each_port_once_and_none_that_is_in_use() {
        let mut ports = Ports::new().unwrap();
        let first = ports.reserve().unwrap();
        let held = TcpListener::bind(("127.0.0.1", first)).unwrap();
        let mut others = Ports::new().unwrap();
        let many: Vec<u16> = (0..50).map(|_| others.reserve().unwrap()).collect();
        assert!(!many.contains(&first));
        assert_eq!(many.iter().collect::<HashSet<_>>().len(), 50);
        drop(held);
    }

    #[test]
    fn a_port_is_held_while_nobody_listens_on_it() {
        let mut ports = Ports::new().unwrap();
        let port = ports.reserve().unwrap();
        let file = ports.folder.join(port.to_string());
        assert!(paths::try_lock(&file).unwrap().is_none());
        drop(ports);
        assert!(paths::try_lock(&file).unwrap().is_some());
    }
}
