//! The homes of leases in Redis: one partition, or one on each of several servers.
//!
//! With several, each server's leases are about what is on that server: a node that is cut off from one of them is dead
//! there alone. All homes are asked at the same time. One that did not answer when the lease was last renewed is asked
//! only then, for a short time, so that a server that is away does not keep the node from renewing the others' leases.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use parking_lot::Mutex;

use crate::{
    TIMEOUT, Unavailable,
    partition::{Partition, PartitionSet},
    redis::link::RedisLink,
};

/// See the module.
#[derive(Clone)]
pub(super) struct Homes {
    all: Arc<[Partition]>,
    /// Those that answered last.
    reachable: Arc<Mutex<PartitionSet>>,
    /// How long to wait for all of them.
    limit: Duration,
}

impl Homes {
    /// `term` is that of a lease.
    pub(super) fn new(link: &RedisLink, term: Duration) -> Self {
        let all = link.homes();
        let limit = if all.len() == 1 { TIMEOUT } else { TIMEOUT.min(term / 10) };
        Self { reachable: Arc::new(Mutex::new(all.iter().copied().collect())), all, limit }
    }

    /// Asks all homes. Returns the answers of those that answer; at least one.
    pub(super) async fn ask_all<T, F>(&self, ask: impl Fn(Partition) -> F) -> Result<Vec<(Partition, T)>, Unavailable>
    where
        F: Future<Output = Result<T, Unavailable>>,
    {
        let asked = self.all.iter().map(|home| tokio::time::timeout(self.limit, ask(*home)));
        let answers = self.all.iter().zip(join_all(asked).await);
        let answers: Vec<_> = answers.filter_map(|(home, answer)| Some((*home, answer.ok()?.ok()?))).collect();
        *self.reachable.lock() = answers.iter().map(|(home, _)| *home).collect();
        if answers.is_empty() { Err(Unavailable) } else { Ok(answers) }
    }

    /// Asks the homes that answered last. Returns the answers of those that answer; at least one.
    pub(super) async fn ask<T, F>(&self, ask: impl Fn(Partition) -> F) -> Result<Vec<(Partition, T)>, Unavailable>
    where
        F: Future<Output = Result<T, Unavailable>>,
    {
        let homes = self.reachable();
        let answers = homes.iter().zip(join_all(homes.iter().map(|home| ask(*home))).await);
        let answers: Vec<_> = answers.filter_map(|(home, answer)| Some((*home, answer.ok()?))).collect();
        if answers.is_empty() { Err(Unavailable) } else { Ok(answers) }
    }

    /// The homes that answered last; all if none did.
    pub(super) fn reachable(&self) -> Vec<Partition> {
        let reachable = *self.reachable.lock();
        let of_all = |wanted: PartitionSet| self.all.iter().copied().filter(move |home| wanted.contains(*home));
        of_all(if reachable.is_empty() { PartitionSet::ALL } else { reachable }).collect()
    }
}
