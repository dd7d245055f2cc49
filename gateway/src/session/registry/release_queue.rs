//! Ended sessions and stays that wait to be released in the cluster.
//!
//! Guarantees: an entry stays until it was released, however long the back end is down. Meanwhile the queue grows with
//! the sessions and stays that end, and with claims and joins that got no answer. Above [`MAX`] entries claims and
//! joins are refused, so the queue is bounded by that and the sessions and stays of this node.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use jackfield_cluster::{ids::Incarnation, presence::Stay, sessions::EndReason};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Entries in one batch.
const BATCH: usize = 512;
/// Number of entries from which on claims and joins are refused. About 15 MB.
const MAX: usize = 65_536;

/// A stay that has ended.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    pub(crate) stay: Stay,
    /// The incarnation that held it.
    pub(crate) incarnation: Incarnation,
    pub(crate) ending: Ending,
}

/// How a session ended, and whether its client may come back to its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It may.
    Open(EndReason),
    /// It was told that it is disconnected.
    Final(EndReason),
}

impl Ending {
    /// Why it ended.
    pub(crate) fn reason(self) -> EndReason {
        match self {
            Self::Open(reason) | Self::Final(reason) => reason,
        }
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct ReleaseQueue {
    waiting: Mutex<Vec<Release>>,
    wake: Notify,
    /// Entries of the current batch, which are no longer in `waiting` and not released yet.
    in_flight: AtomicUsize,
    /// Entries may still be added after the task has ended.
    incomplete: AtomicBool,
}

impl ReleaseQueue {
    /// Adds a stay in a room that ended, or a session whose claim got no answer. `incarnation` held it.
    pub(crate) fn push(&self, stay: Stay, incarnation: Incarnation) {
        self.push_ending(Release { stay, incarnation, ending: Ending::Open(EndReason::Unavailable) });
    }

    /// Adds an ended stay.
    pub(crate) fn push_ending(&self, release: Release) {
        self.waiting.lock().push(release);
        self.wake.notify_one();
    }

    /// Number of entries that wait to be released.
    pub(crate) fn len(&self) -> usize {
        self.waiting.lock().len()
    }

    /// Whether so many entries wait that claims and joins must be refused.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= MAX
    }

    /// Whether everything was released.
    pub(crate) fn is_settled(&self) -> bool {
        let waiting = self.waiting.lock();
        waiting.is_empty() && self.in_flight.load(Ordering::Acquire) == 0
    }

    /// A connection was closed while its events were being handled: their claims may reach this queue too late.
    pub(crate) fn mark_incomplete(&self) {
        self.incomplete.store(true, Ordering::Release);
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.is_settled() && !self.incomplete.load(Ordering::Acquire)
    }

    /// Takes a batch; it is in flight until [`ReleaseQueue::finish_batch`].
    pub(crate) fn take(&self) -> Vec<Release> {
        let mut waiting = self.waiting.lock();
        let rest = waiting.len().saturating_sub(BATCH);
        let batch = waiting.split_off(rest);
        self.in_flight.store(batch.len(), Ordering::Release);
        batch
    }

    /// Ends the batch; `rest` was not released, and returns to the queue.
    pub(crate) fn finish_batch(&self, rest: Vec<Release>) {
        let mut waiting = self.waiting.lock();
        waiting.extend(rest);
        self.in_flight.store(0, Ordering::Release);
    }

    /// Waits until an entry was added.
    pub(crate) async fn pushed(&self) {
        self.wake.notified().await;
    }
}
