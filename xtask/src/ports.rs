//! Free loopback ports, from below the range that the system hands to outgoing connections: a port from there could be
//! taken by any client while a stopped server is waiting to be started again on it.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    net::TcpListener,
};

use anyhow::{Result, bail};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// Hands out ports that were free a moment ago, each once.
#[derive(Default)]
pub struct Ports {
    taken: HashSet<u16>,
}

impl Ports {
    /// The next free port. Starts at a random place, so that clusters started together do not meet.
    pub fn next(&mut self) -> Result<u16> {
        let start = RandomState::new().hash_one(()) % u64::from(COUNT);
        for step in 0..u64::from(COUNT) {
            let offset = (start + step) % u64::from(COUNT);
            let port = FIRST + u16::try_from(offset)?;
            if !self.taken.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
                self.taken.insert(port);
                return Ok(port);
            }
        }
        bail!("no free port between {FIRST} and {}", FIRST + COUNT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hands_out_each_port_once_and_none_that_is_in_use() {
        let mut ports = Ports::default();
        let first = ports.next().unwrap();
        let held = TcpListener::bind(("127.0.0.1", first)).unwrap();
        let mut others = Ports::default();
        let many: Vec<u16> = (0..50).map(|_| others.next().unwrap()).collect();
        assert!(!many.contains(&first));
        assert_eq!(many.iter().collect::<HashSet<_>>().len(), 50);
        drop(held);
    }
}
