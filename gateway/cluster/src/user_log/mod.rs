//! Port: what is sent to one user: events for all sockets of the user's sessions, numbered.
//!
//! Guarantees: numbering an event, keeping it, and sending it
//! ([`BusMessage::ForUser`](crate::wire::BusMessage::ForUser)) to the nodes that hold the user's sessions are one
//! atomic step; within an epoch events are numbered from [`Page::base`] + 1 on, without holes; the newest [`KEPT`] of
//! some minutes can be read. [`crate::inbox`] sends its changes in the same way, in one order with these.
//! [`crate::connects`] and [`crate::sessions`] return the position from which a session continues, atomically with its
//! registration. An event for a user without sessions gets no number and is not kept. A user without a log takes no
//! memory: the position is [`Page::empty`] then, as for [`crate::log`]. Deliberately knows neither sockets nor what the
//! events are about.

pub(crate) mod kept;
pub(crate) mod memory;
pub(crate) mod redis;

use std::sync::Arc;

pub use self::kept::KEPT;
use jackfield_shared::trace::{Span, SpanKind, within};

use crate::{
    Unavailable,
    forward::forward,
    log::{Page, Position},
    user_log::{memory::MemoryUserLog, redis::RedisUserLog},
    wire::UserEvent,
};

/// The port.
#[derive(Clone)]
pub enum UserLog {
    /// Within one process.
    Memory(MemoryUserLog),
    /// A stream per user in Redis.
    Redis(RedisUserLog),
}

impl UserLog {
    /// Sends an event to these users, one after the other. Returns for each the number of sessions that it was sent to.
    ///
    /// # Errors
    /// [`Unavailable`]: it may have been sent to all, some or none of the users.
    pub async fn send(&self, users: &[Arc<str>], event: &UserEvent) -> Result<Vec<usize>, Unavailable> {
        self.send_once(users, event, None).await
    }

    /// Like [`UserLog::send`]. With a key, each of the users gets the first event that was sent under it in
    /// [`crate::once::REMEMBERED`], by whichever node, and no other; a repetition returns the first one's numbers.
    ///
    /// # Errors
    /// As for [`UserLog::send`].
    pub async fn send_once(
        &self,
        users: &[Arc<str>],
        event: &UserEvent,
        once: Option<&str>,
    ) -> Result<Vec<usize>, Unavailable> {
        let sending = async { forward!(self.send(users, event, once)) };
        within(Span::child("publish", SpanKind::Producer), sending).await
    }

    /// The events after `seen`, at most [`KEPT`]; `None` is one of a kind that only a newer version knows. If the log
    /// ends before `seen`, it has fallen back, and a new, later epoch begins.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn read(&self, user: &Arc<str>, seen: Position) -> Result<Page<Option<UserEvent>>, Unavailable> {
        forward!(self.read(user, seen))
    }
}
