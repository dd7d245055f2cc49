//! The node's lease, and whether the node has to re-register its sessions and stays.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;
use jackfield_cluster::{ids::Incarnation, membership::Remembered, partition::PartitionSet};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// See the module.
#[derive(Default)]
pub(crate) struct Lease {
    incarnation: ArcSwapOption<Incarnation>,
    wake: Notify,
    /// Partitions of which to register the sessions and stays again.
    reassert: Mutex<PartitionSet>,
    /// Since when the back end has kept its data, as far as this node knows.
    remembered: Mutex<Remembered>,
    /// The back end has lost its data, and the node has not re-registered its sessions and stays yet.
    data_lost: AtomicBool,
    /// Bus gaps so far.
    gaps: AtomicU64,
}

impl Lease {
    /// The lease that this node holds, as far as it knows.
    pub(crate) fn incarnation(&self) -> Option<Incarnation> {
        self.incarnation.load().as_deref().cloned()
    }

    /// A new lease began. Returns whether the back end has lost its data since the last one.
    pub(crate) fn begun(&self, incarnation: &Incarnation, remembered: Remembered) -> bool {
        let is_lost = self.remembered.lock().learn(remembered);
        if is_lost {
            self.data_lost.store(true, Ordering::Release);
        }
        self.incarnation.store(Some(Arc::new(incarnation.clone())));
        *self.reassert.lock() = PartitionSet::ALL;
        is_lost
    }

    /// Requests re-registering of what is in these partitions with the next heartbeat, and that heartbeat now.
    pub(crate) fn reassert_soon(&self, partitions: PartitionSet) {
        self.reassert_later(partitions);
        self.wake.notify_one();
    }

    /// The partitions to re-register; none until the next request.
    pub(crate) fn take_reassert(&self) -> PartitionSet {
        std::mem::take(&mut *self.reassert.lock())
    }

    /// Requests re-registering of what is in these partitions with the next heartbeat.
    pub(crate) fn reassert_later(&self, partitions: PartitionSet) {
        let mut reassert = self.reassert.lock();
        *reassert = reassert.union(partitions);
    }

    /// All sessions and stays are registered.
    pub(crate) fn reasserted(&self) {
        self.data_lost.store(false, Ordering::Release);
    }

    /// Whether the back end has lost its data since the node last registered everything.
    pub(crate) fn is_data_lost(&self) -> bool {
        self.data_lost.load(Ordering::Acquire)
    }

    /// Requests a heartbeat now.
    pub(crate) fn beat_now(&self) {
        self.wake.notify_one();
    }

    /// Waits until a heartbeat is requested.
    pub(crate) async fn beat_requested(&self) {
        self.wake.notified().await;
    }

    /// Counts a bus gap: messages from other nodes may have been lost.
    pub(crate) fn count_gap(&self) {
        self.gaps.fetch_add(1, Ordering::AcqRel);
    }

    /// Number of bus gaps so far.
    pub(crate) fn gaps(&self) -> u64 {
        self.gaps.load(Ordering::Acquire)
    }
}
