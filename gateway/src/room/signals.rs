//! State that a room's worker shares with the holders of the room's handle.

use std::sync::atomic::{AtomicBool, Ordering};

use jackfield_cluster::log::Position;
use parking_lot::Mutex;

use super::stopwatch::Stopwatch;
use crate::log_follower;

/// See the module.
#[derive(Default)]
pub(super) struct Signals {
    pub(super) log: log_follower::Signals,
    pub(super) stopwatch: Stopwatch,
    /// The room has a stored message, as far as this node knows.
    begun: AtomicBool,
    /// The newest position of this log that this node knows.
    seen: Mutex<Option<Position>>,
}

impl Signals {
    /// Records that the room has a stored message, which its members on this node may not have received yet.
    pub(super) fn begun(&self) {
        self.begun.store(true, Ordering::Release);
    }

    /// Whether the room has a stored message, as far as this node knows.
    pub(super) fn is_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Records the position that the members on this node have reached.
    pub(super) fn at(&self, position: Position) {
        self.begun.store(position.number > 0, Ordering::Release);
        self.appended(position);
    }

    /// Records that a message was stored at this position.
    pub(super) fn appended(&self, position: Position) {
        let mut seen = self.seen.lock();
        *seen = (*seen).max(Some(position));
    }

    /// The newest position that this node knows, if any: a log that ends before it has lost messages.
    pub(super) fn seen(&self) -> Option<Position> {
        *self.seen.lock()
    }
}
