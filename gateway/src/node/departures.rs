//! Releases sessions and stays in rooms that have ended, in batches, in the whole cluster.
//!
//! Guarantees: a session is released sooner or later, however long the back end is away. While it is away the list
//! grows with the sessions and stays that end, and with claims and joins that it did not answer: beyond [`MOST`] entries
//! those are refused, so the list holds no more than that and the sessions and stays of this node.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, task::JoinHandle};

use super::Node;
use crate::cluster::{
    TIMEOUT, Unavailable,
    ids::{Incarnation, IndexEntry},
    room_presence::Ending,
};

const BATCH: usize = 512;
/// Entries from which on nothing is claimed that might have to be released unanswered. Some 15 MB.
const MOST: usize = 65_536;
const RETRY: Duration = Duration::from_millis(250);
/// At the end of the process, retries before the rest is left to the survivors.
const LAST_TRIES: u32 = 2;

/// See the module.
#[derive(Default)]
pub struct Departures {
    waiting: Mutex<Vec<(IndexEntry, Incarnation)>>,
    come: Notify,
    /// Entries that are not in `waiting` any more, and not released yet.
    under_way: AtomicUsize,
    /// More entries may come after the task has ended.
    incomplete: AtomicBool,
}

impl Departures {
    /// Releases `entry`, which `incarnation` held and which has ended.
    pub fn push(&self, entry: IndexEntry, incarnation: Incarnation) {
        self.waiting.lock().push((entry, incarnation));
        self.come.notify_one();
    }

    /// Number of entries that wait to be released.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.lock().len()
    }

    /// Whether too much waits to claim anything new.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() >= MOST
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether everything was released.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let waiting = self.waiting.lock();
        waiting.is_empty() && self.under_way.load(Ordering::Acquire) == 0
    }

    /// A connection was closed while its events were being handled: their claims may reach this list too late.
    pub(super) fn cut_short(&self) {
        self.incomplete.store(true, Ordering::Release);
    }

    fn is_complete(&self) -> bool {
        self.is_settled() && !self.incomplete.load(Ordering::Acquire)
    }

    fn take(&self) -> Vec<(IndexEntry, Incarnation)> {
        let mut waiting = self.waiting.lock();
        let rest = waiting.len().saturating_sub(BATCH);
        let batch = waiting.split_off(rest);
        self.under_way.store(batch.len(), Ordering::Release);
        batch
    }

    /// Ends a batch: all of it was released, but for `rest`.
    fn done_but(&self, rest: Vec<(IndexEntry, Incarnation)>) {
        let mut waiting = self.waiting.lock();
        waiting.extend(rest);
        self.under_way.store(0, Ordering::Release);
    }
}

/// Releases until the lifecycle ends; then releases the rest, and the lease once `heart` has stopped renewing it.
pub(super) async fn give_back(node: Arc<Node>, heart: JoinHandle<()>) {
    let stopping = node.lifecycle.stopping();
    while !stopping.is_cancelled() {
        if pass(&node).await.is_err() {
            stopping.run_until_cancelled(tokio::time::sleep(RETRY)).await;
        } else {
            stopping.run_until_cancelled(node.departures.come.notified()).await;
        }
    }
    farewell(&node, heart).await;
}

/// Closes the remaining connections and releases their sessions, so that nobody has to wait for the lease to end.
async fn farewell(node: &Node, heart: JoinHandle<()>) {
    for connection in node.connections.all().into_iter().chain(node.readers.all()) {
        connection.close();
    }
    let mut tries = 0;
    while pass(node).await.is_err() && tries < LAST_TRIES {
        tries += 1;
        tokio::time::sleep(RETRY).await;
    }
    // A heartbeat under way would begin a new lease if it found the old one ended.
    let beats_no_more = tokio::time::timeout(TIMEOUT, heart).await.is_ok();
    if beats_no_more && node.departures.is_complete() {
        // If this fails, the lease ends by itself, and a survivor does the rest.
        let _ = end_lease(node).await;
    }
}

async fn end_lease(node: &Node) -> Result<(), Unavailable> {
    let Some(incarnation) = node.incarnation() else { return Ok(()) };
    let membership = &node.cluster.membership;
    // Mostly entries that were noted and then not granted.
    loop {
        let left = membership.holdings(&incarnation, BATCH).await?;
        if left.is_empty() {
            return membership.forget_dead(&incarnation).await;
        }
        clear(node, &incarnation, &left).await?;
    }
}

async fn pass(node: &Node) -> Result<(), Unavailable> {
    loop {
        let batch = node.departures.take();
        if batch.is_empty() {
            return Ok(());
        }
        let released = release(node, &batch).await;
        node.departures.done_but(if released.is_ok() { Vec::new() } else { batch });
        released?;
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

/// Removes entries of an incarnation everywhere. The index comes last: while an entry is in it, a node will retry.
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
    cluster.membership.index_remove(of, entries).await
}
