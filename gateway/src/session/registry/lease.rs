//! The node's lease, and whether the node has to re-register its sessions and stays.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;
use jackfield_cluster::{ids::Incarnation, membership::Remembered};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// See the module.
#[derive(Default)]
pub(crate) struct Lease {
    incarnation: ArcSwapOption<Incarnation>,
    wake: Notify,
    reassert: AtomicBool,
    /// Since when the back end has kept its data, as far as this node knows.
    remembered: Mutex<Option<Remembered>>,
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
        let is_lost = self.remembered.lock().replace(remembered).is_some_and(|before| before != remembered);
        if is_lost {
            self.data_lost.store(true, Ordering::Release);
        }
        self.incarnation.store(Some(Arc::new(incarnation.clone())));
        self.reassert.store(true, Ordering::Release);
        is_lost
    }

    /// Requests re-registering with the next heartbeat, and that heartbeat now.
    pub(crate) fn reassert_soon(&self) {
        self.reassert.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Whether to re-register; false until the next request.
    pub(crate) fn take_reassert(&self) -> bool {
        self.reassert.swap(false, Ordering::AcqRel)
    }

    /// Re-registering failed: the next heartbeat repeats it.
    pub(crate) fn reassert_failed(&self) {
        self.reassert.store(true, Ordering::Release);
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
