//! The budgets of one user on this node.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{Bucket, Cost, FloodLimits, Rate, kept::Keep, private::Private};

/// Bytes sent to a user that count as one event.
const SENT_BYTES_PER_EVENT: f64 = 4_096.0;

/// The limits of every user.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UserLimits {
    /// Events of all connections together.
    pub(crate) flood: FloodLimits,
    /// Events that are sent to a whole namespace.
    pub(crate) broadcast: Rate,
    /// Messages to one other user; four times as many to all of them together.
    pub(crate) private: Rate,
    /// Connections.
    pub(crate) connect: Rate,
    /// Rooms whose log the user begins.
    pub(crate) rooms: Rate,
    /// Bytes stored in rooms.
    pub(crate) bytes: Rate,
}

/// See the module. Shared by the user's connections; kept after the last one closed until every budget is full again.
pub(crate) struct User {
    limits: Arc<UserLimits>,
    spent: Mutex<Spent>,
}

struct Spent {
    events: Bucket,
    connects: Bucket,
    /// Budgets that most users never use.
    other: Option<Box<Other>>,
}

struct Other {
    broadcasts: Bucket,
    private: Private,
    rooms: Bucket,
    bytes: Bucket,
}

/// A result whose error is the time to wait.
type Taken = Result<(), Duration>;

impl User {
    /// A user whose budgets are full.
    pub(crate) fn new(limits: &Arc<UserLimits>, now: Instant) -> Self {
        let events = Bucket::full(limits.flood.rate, now);
        let connects = Bucket::full(limits.connect, now);
        Self { limits: Arc::clone(limits), spent: Mutex::new(Spent { events, connects, other: None }) }
    }

    /// Takes an event. Its cost beyond 1 may become a debt.
    ///
    /// # Errors
    /// The time to wait, as in all methods below.
    pub(crate) fn event(&self, cost: Cost, now: Instant) -> Taken {
        self.spent.lock().events.take_for(cost, self.limits.flood.rate, now)
    }

    /// Charges bytes that were sent to the user because of one event, as further events.
    pub(crate) fn charge(&self, bytes: usize, now: Instant) {
        self.spent.lock().events.charge(bytes as f64 / SENT_BYTES_PER_EVENT, self.limits.flood.rate, now);
    }

    /// Takes a connection.
    ///
    /// # Errors
    /// See [`User::event`].
    pub(crate) fn connect(&self, now: Instant) -> Taken {
        self.spent.lock().connects.take(self.limits.connect, now)
    }

    /// Takes an event that is sent to a whole namespace.
    ///
    /// # Errors
    /// See [`User::event`].
    pub(crate) fn broadcast(&self, now: Instant) -> Taken {
        self.other(now, |other| other.broadcasts.take(self.limits.broadcast, now))
    }

    /// Takes a message to the user `to`.
    ///
    /// # Errors
    /// See [`User::event`].
    pub(crate) fn private(&self, to: &str, now: Instant) -> Taken {
        self.other(now, |other| other.private.take(to, self.limits.private, now))
    }

    /// Whether the user may store a message and, if `is_new`, begin a room with it.
    ///
    /// # Errors
    /// See [`User::event`].
    pub(crate) fn may_store(&self, is_new: bool, now: Instant) -> Taken {
        self.other(now, |other| {
            other.bytes.ready(self.limits.bytes, now)?;
            if is_new { other.rooms.ready(self.limits.rooms, now) } else { Ok(()) }
        })
    }

    /// Charges a stored message of `bytes` bytes; `is_new` if it began its room.
    pub(crate) fn stored(&self, bytes: usize, is_new: bool, now: Instant) {
        self.other(now, |other| {
            other.bytes.charge(bytes as f64, self.limits.bytes, now);
            if is_new {
                other.rooms.charge(1.0, self.limits.rooms, now);
            }
        });
    }

    fn other<T>(&self, now: Instant, act: impl FnOnce(&mut Other) -> T) -> T {
        let limits = &self.limits;
        let new = || {
            Box::new(Other {
                broadcasts: Bucket::full(limits.broadcast, now),
                private: Private::new(limits.private, now),
                rooms: Bucket::full(limits.rooms, now),
                bytes: Bucket::full(limits.bytes, now),
            })
        };
        act(self.spent.lock().other.get_or_insert_with(new))
    }
}

impl Keep for User {
    fn is_as_new(&self, now: Instant) -> bool {
        let (limits, spent) = (&self.limits, self.spent.lock());
        let other = spent.other.as_ref().is_none_or(|other| {
            other.broadcasts.is_full(limits.broadcast, now)
                && other.private.is_full(limits.private, now)
                && other.rooms.is_full(limits.rooms, now)
                && other.bytes.is_full(limits.bytes, now)
        });
        other && spent.events.is_full(limits.flood.rate, now) && spent.connects.is_full(limits.connect, now)
    }
}
