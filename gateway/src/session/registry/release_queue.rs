//! Stays that have ended, and are to be released in the whole cluster.
//!
//! Guarantees: an entry stays until it was released, however long the back end is away. While it is away the list grows
//! with the sessions and stays that end, and with claims and joins that it did not answer: beyond [`MAX`] entries those
//! are refused, so the list holds no more than that and the sessions and stays of this node.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use jackfield_cluster::{ids::Incarnation, presence::Stay};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Entries of one batch.
const BATCH: usize = 512;
/// Entries from which on nothing is claimed that might have to be released unanswered. Some 15 MB.
const MAX: usize = 65_536;

/// See the module.
#[derive(Default)]
pub(crate) struct ReleaseQueue {
    waiting: Mutex<Vec<(Stay, Incarnation)>>,
    wake: Notify,
    /// Entries that are not in `waiting` any more, and not released yet.
    in_flight: AtomicUsize,
    /// More entries may come after the task has ended.
    incomplete: AtomicBool,
}

impl ReleaseQueue {
    /// Releases `entry`, which `incarnation` held and which has ended.
    pub(crate) fn push(&self, entry: Stay, incarnation: Incarnation) {
        self.waiting.lock().push((entry, incarnation));
        self.wake.notify_one();
    }

    /// Number of entries that wait to be released.
    pub(crate) fn len(&self) -> usize {
        self.waiting.lock().len()
    }

    /// Whether too much waits to claim anything new.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= MAX
    }

    /// Whether everything was released.
    pub(crate) fn is_settled(&self) -> bool {
        let waiting = self.waiting.lock();
        waiting.is_empty() && self.in_flight.load(Ordering::Acquire) == 0
    }

    /// A connection was closed while its events were being handled: their claims may reach this list too late.
    pub(crate) fn mark_incomplete(&self) {
        self.incomplete.store(true, Ordering::Release);
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.is_settled() && !self.incomplete.load(Ordering::Acquire)
    }

    /// Takes a batch; it is under way until [`ReleaseQueue::finish_batch`].
    pub(crate) fn take(&self) -> Vec<(Stay, Incarnation)> {
        let mut waiting = self.waiting.lock();
        let rest = waiting.len().saturating_sub(BATCH);
        let batch = waiting.split_off(rest);
        self.in_flight.store(batch.len(), Ordering::Release);
        batch
    }

    /// Ends a batch: all of it was released, but for `rest`.
    pub(crate) fn finish_batch(&self, rest: Vec<(Stay, Incarnation)>) {
        let mut waiting = self.waiting.lock();
        waiting.extend(rest);
        self.in_flight.store(0, Ordering::Release);
    }

    /// Waits until there may be some.
    pub(crate) async fn pushed(&self) {
        self.wake.notified().await;
    }
}
