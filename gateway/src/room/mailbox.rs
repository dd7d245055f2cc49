//! A room's handle: what reaches its task, and what the task shares with those who hold the handle.

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

/// Inputs that may wait for a room's task. Beyond that the task reads the log.
const MAILBOX: usize = 1_024;

/// A room with members here. Cheap to clone.
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
    /// Somebody has written to the room.
    begun: AtomicBool,
    /// The epoch of the members' position; 0 until it is known.
    epoch: AtomicU64,
}

impl<M> Room<M> {
    pub(super) fn new(name: &RoomName) -> (Self, mpsc::Receiver<Input<M>>) {
        let (mailbox, inputs) = mpsc::channel(MAILBOX);
        (Self { name: name.clone(), mailbox, signals: Arc::default() }, inputs)
    }

    /// Whether it has messages, as far as its members here know.
    pub(crate) fn is_begun(&self) -> bool {
        self.signals.begun.load(Ordering::Acquire)
    }
}

// Derived, it would ask for `M: Clone`.
impl<M> Clone for Room<M> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), mailbox: self.mailbox.clone(), signals: Arc::clone(&self.signals) }
    }
}

impl Signals {
    /// The members have reached this position.
    pub(super) fn at(&self, position: Position) {
        self.begun.store(position.number > 0, Ordering::Release);
        self.epoch.store(position.epoch, Ordering::Release);
    }

    /// A position of the epoch that the members here know.
    pub(super) fn seen(&self) -> Option<Position> {
        let epoch = self.epoch.load(Ordering::Acquire);
        (epoch > 0).then_some(Position { epoch, number: 0 })
    }
}
