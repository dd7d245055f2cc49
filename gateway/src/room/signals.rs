//! State that a room's worker shares with the holders of the room's handle.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jackfield_cluster::log::Position;

use super::stopwatch::Stopwatch;
use crate::log_follower;

/// See the module.
#[derive(Default)]
pub(super) struct Signals {
    pub(super) log: log_follower::Signals,
    pub(super) stopwatch: Stopwatch,
    /// The room has a stored message, as far as this node knows.
    begun: AtomicBool,
    /// The epoch that the members on this node have reached; 0 until it is known.
    epoch: AtomicU64,
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
        self.epoch.store(position.epoch, Ordering::Release);
    }

    /// A position in the epoch that the members on this node have reached, if known.
    pub(super) fn seen(&self) -> Option<Position> {
        let epoch = self.epoch.load(Ordering::Acquire);
        (epoch > 0).then_some(Position { epoch, number: 0 })
    }
}
