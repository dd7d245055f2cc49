//! A room's handle: the mailbox of its task, and the state that the task shares with the handle's holders.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use jackfield_cluster::{log::Position, room_name::RoomName, wire::BusMessage};
use jackfield_shared::trace::Span;
use tokio::sync::{mpsc, oneshot};

use super::{
    join::{JoinError, Joined, Joining},
    stopwatch::Stopwatch,
};
use crate::log_follower;

/// Inputs that may wait for a room's task. When it is full, the task reads the log.
const MAILBOX: usize = 1_024;

/// A room with members on this node. Cheap to clone.
pub(crate) struct Room<M> {
    pub(crate) name: RoomName,
    pub(super) mailbox: mpsc::Sender<Input<M>>,
    pub(super) signals: Arc<Signals>,
}

/// The inputs of a room's task, handled in order.
pub(super) enum Input<M> {
    Message(BusMessage, Option<Span>),
    Join(Joining<M>, oneshot::Sender<Result<Joined, JoinError>>),
    Leave(Arc<str>),
}

#[derive(Default)]
pub(super) struct Signals {
    pub(super) log: log_follower::Signals,
    pub(super) stopwatch: Stopwatch,
    /// The room has a stored message, as far as this node knows.
    begun: AtomicBool,
    /// The epoch that the members on this node have reached; 0 until it is known.
    epoch: AtomicU64,
}

impl<M> Room<M> {
    pub(super) fn new(name: &RoomName) -> (Self, mpsc::Receiver<Input<M>>) {
        let (mailbox, inputs) = mpsc::channel(MAILBOX);
        (Self { name: name.clone(), mailbox, signals: Arc::default() }, inputs)
    }

    /// Whether it has stored messages, as far as this node knows.
    pub(crate) fn is_begun(&self) -> bool {
        self.signals.begun.load(Ordering::Acquire)
    }
}

// A derived one would require `M: Clone`.
impl<M> Clone for Room<M> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), mailbox: self.mailbox.clone(), signals: Arc::clone(&self.signals) }
    }
}

impl Signals {
    /// Records that the room has a stored message, which its members on this node may not have received yet.
    pub(super) fn begun(&self) {
        self.begun.store(true, Ordering::Release);
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
