//! Sessions that are over and stays in rooms that have ended, given back to the cluster in batches.
//!
//! Guarantees: a session is given back sooner or later, however long the back end is away. The list is bounded by the
//! sessions that lived when the back end went away, since none begins without it.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Node;
use crate::cluster::{
    Unavailable,
    ids::{Incarnation, IndexEntry},
    room_presence::Ending,
};

const BATCH: usize = 512;
const RETRY: Duration = Duration::from_millis(250);
/// At the end of the process, tries before what is left is left to the survivors.
const LAST_TRIES: u32 = 4;

/// See the module.
#[derive(Default)]
pub struct Departures {
    waiting: Mutex<Vec<(IndexEntry, Incarnation)>>,
    come: Notify,
}

impl Departures {
    /// What this incarnation held is over.
    pub fn push(&self, entry: IndexEntry, incarnation: Incarnation) {
        self.waiting.lock().push((entry, incarnation));
        self.come.notify_one();
    }

    /// How much is still to be given back.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.lock().len()
    }

    /// Whether everything was given back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn take(&self) -> Vec<(IndexEntry, Incarnation)> {
        let mut waiting = self.waiting.lock();
        let rest = waiting.len().saturating_sub(BATCH);
        waiting.split_off(rest)
    }

    fn put_back(&self, batch: Vec<(IndexEntry, Incarnation)>) {
        self.waiting.lock().extend(batch);
    }
}

pub(super) async fn give_back(node: Arc<Node>) {
    let stopping = node.lifecycle.stopping();
    while !stopping.is_cancelled() {
        if pass(&node).await.is_err() {
            stopping.run_until_cancelled(tokio::time::sleep(RETRY)).await;
        } else {
            stopping.run_until_cancelled(node.departures.come.notified()).await;
        }
    }
    farewell(&node).await;
}

/// Everybody is sent elsewhere, and what they held is given back, so that nobody has to wait for the lease to end.
async fn farewell(node: &Node) {
    for connection in node.connections.all().into_iter().chain(node.readers.all()) {
        connection.close();
    }
    let mut tries = 0;
    while pass(node).await.is_err() && tries < LAST_TRIES {
        tries += 1;
        tokio::time::sleep(RETRY).await;
    }
    if node.departures.is_empty()
        && let Some(incarnation) = node.incarnation()
    {
        // A lease that is not ended ends by itself.
        let _ = node.cluster.membership.bury(&incarnation).await;
    }
}

async fn pass(node: &Node) -> Result<(), Unavailable> {
    loop {
        let batch = node.departures.take();
        if batch.is_empty() {
            return Ok(());
        }
        if let Err(unavailable) = release(node, &batch).await {
            node.departures.put_back(batch);
            return Err(unavailable);
        }
    }
}

async fn release(node: &Node, batch: &[(IndexEntry, Incarnation)]) -> Result<(), Unavailable> {
    let mut incarnations: Vec<&Incarnation> = batch.iter().map(|(_, incarnation)| incarnation).collect();
    incarnations.sort_unstable();
    incarnations.dedup();
    for incarnation in incarnations {
        let of_it = batch.iter().filter(|(_, held_by)| held_by == incarnation);
        let entries: Vec<IndexEntry> = of_it.map(|(entry, _)| entry.clone()).collect();
        clear(node, incarnation, &entries).await?;
    }
    Ok(())
}

/// Takes what an incarnation held out of everything. The index comes last: while it stands there, somebody will.
pub(super) async fn clear(node: &Node, of: &Incarnation, entries: &[IndexEntry]) -> Result<(), Unavailable> {
    let (mut sessions, mut stays) = (Vec::new(), Vec::new());
    for entry in entries {
        match entry {
            IndexEntry::Session(holding) => sessions.push(holding.clone()),
            IndexEntry::Room(stay) => stays.push(stay.clone()),
        }
    }
    let cluster = &node.cluster;
    cluster.sessions.release(&sessions, of).await?;
    cluster.presence.leave(&sessions, of).await?;
    cluster.room_presence.leave(&stays, of, Ending::Gone).await?;
    cluster.membership.strike(of, entries).await
}
