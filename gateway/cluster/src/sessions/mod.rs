//! Port: which incarnation holds which session, and the limit of sessions per user.
//!
//! [`crate::connects`] claims sessions. Guarantees: a release by an incarnation that no longer holds the session does
//! nothing. After a lost lease, lost data or lost messages, [`Sessions::restore`] re-registers a node's sessions with
//! their generations, and evicts those above the limit; the same atomic step sends
//! [`crate::wire::BusMessage::Evicted`] to the node of each other session that it evicts, at most once, and returns the
//! end of the user's log. Whatever registers or removes a session records it as a fact, in the same atomic step.
//! Deliberately knows no leases: the survivor that cleans up a dead incarnation releases its
//! sessions.

mod end_reason;
pub(crate) mod memory;
pub(crate) mod redis;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use jackfield_shared::trace::{Span, SpanKind, within};

pub use self::end_reason::EndReason;
use crate::{
    Unavailable,
    bus::Channel,
    forward::forward,
    ids::{Incarnation, NodeId, RecordId, SessionId, SessionRef},
    log::Position,
    sessions::memory::MemorySessions,
    sessions::redis::RedisSessions,
    wire::BusMessage,
};

/// The effect of a claim above the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// The user's oldest sessions end.
    Evict,
    /// The claim is refused.
    Reject,
}

/// How many sessions a user may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// At most this many; 0 for no limit.
    pub limit: u32,
    /// The effect of a claim above the limit.
    pub on_conflict: OnConflict,
}

/// A session that a node holds and re-registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldSession {
    /// The user and the session.
    pub session: SessionRef,
    /// The generation it was granted.
    pub generation: u64,
    /// Its position in the user's log.
    pub seen: Position,
    /// Its record, if its client can be recovered.
    pub record: Option<RecordId>,
}

/// A session that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The user and the session.
    pub session: SessionRef,
    /// Its client cannot be recovered.
    pub is_final: bool,
    /// For the fact that is recorded.
    pub reason: EndReason,
}

/// The outcome of re-registering a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// It is registered.
    Kept {
        /// The end of the user's log. If that ended before the session's position, it has fallen back, and a new, later
        /// epoch has begun.
        end: Position,
    },
    /// It is above the limit, or its client has come back with another session. A session that a later entry of the same call evicts was [`Restored::Kept`]: its node
    /// receives [`BusMessage::Evicted`](crate::wire::BusMessage::Evicted).
    Evicted,
}

/// The port.
#[derive(Clone)]
pub enum Sessions {
    /// Within one process.
    Memory(MemorySessions),
    /// A hash per user in Redis.
    Redis(RedisSessions),
}

impl Sessions {
    /// Ends those of these sessions that `by` still holds. Their records are kept for a while, unless the end is final.
    ///
    /// # Errors
    /// [`Unavailable`]: some sessions may not have ended; releasing again does no harm.
    pub async fn release(&self, ended: &[Ended], by: &Incarnation) -> Result<(), Unavailable> {
        forward!(self.release(ended, by))
    }

    /// Re-registers sessions under `by`. Returns the outcome of each, with either [`OnConflict`].
    ///
    /// # Errors
    /// [`Unavailable`]: some sessions may not have been registered; restoring again does no harm.
    pub async fn restore(
        &self,
        held: &[HeldSession],
        by: &Incarnation,
        policy: Policy,
    ) -> Result<Vec<Restored>, Unavailable> {
        forward!(self.restore(held, by, policy))
    }

    /// Ends a user's sessions, only through the nodes that hold them, which send the clients this reason. Returns the
    /// number of sessions.
    ///
    /// # Errors
    /// [`Unavailable`]: it may have been sent to all, some or none of the sessions.
    pub async fn end(&self, user: &Arc<str>, reason: &Arc<str>) -> Result<usize, Unavailable> {
        let sending = async { forward!(self.end(user, reason)) };
        within(Span::child("publish", SpanKind::Producer), sending).await
    }

    /// These users' registered sessions, each user's oldest first, including those of dead nodes until they are
    /// released.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn of(&self, users: &[Arc<str>]) -> Result<Vec<Vec<Live>>, Unavailable> {
        forward!(self.of(users))
    }
}

/// A registered session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// The session.
    pub session: SessionId,
    /// When it was claimed, in microseconds by the back end's clock, or later to be the user's highest generation.
    pub generation: u64,
    /// The incarnation that holds it.
    pub holder: Incarnation,
}

/// Sessions by the node that holds them, to send one message to each node.
#[derive(Default)]
pub(crate) struct ByNode(BTreeMap<NodeId, Vec<SessionId>>);

impl ByNode {
    /// Adds a session and its holder.
    pub(crate) fn add(&mut self, session: &SessionId, holder: &Incarnation) {
        self.0.entry(holder.node()).or_default().push(session.clone());
    }

    /// The messages to publish, each with its channel.
    pub(crate) fn messages(self, of: impl Fn(Vec<SessionId>) -> BusMessage) -> impl Iterator<Item = (Channel, Bytes)> {
        self.0.into_iter().map(move |(node, sessions)| (Channel::Node(node), of(sessions).encode()))
    }
}
