//! Port: which incarnation holds which session, and the limit of sessions per user.
//!
//! [`crate::connects`] claims sessions. Guarantees: a release by an incarnation that no longer holds the session does
//! nothing. After a lost lease or lost data, [`Sessions::restore`] re-registers a node's sessions with their generations,
//! and returns those above the limit; the same atomic step sends [`crate::wire::BusMessage::Evicted`] to the node of
//! each other session that it evicts, at most once. Deliberately knows no leases: the survivor that cleans up a dead
//! incarnation releases its sessions.

pub(crate) mod memory;
pub(crate) mod redis;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use jackfield_shared::trace::{Span, SpanKind, within};

use crate::{
    Unavailable,
    bus::Channel,
    forward::forward,
    ids::{Incarnation, NodeId, SessionId, SessionRef},
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
    /// Ends those of these sessions that `by` still holds.
    ///
    /// # Errors
    /// [`Unavailable`]: some sessions may not have ended; releasing again does no harm.
    pub async fn release(&self, ended: &[SessionRef], by: &Incarnation) -> Result<(), Unavailable> {
        forward!(self.release(ended, by))
    }

    /// Re-registers sessions under `by`, and returns those that are above the limit, with either [`OnConflict`]. A
    /// session that a later entry of `held` evicts is not returned: its node receives [`BusMessage::Evicted`].
    ///
    /// # Errors
    /// [`Unavailable`]: some sessions may not have been registered; restoring again does no harm.
    pub async fn restore(
        &self,
        held: &[HeldSession],
        by: &Incarnation,
        policy: Policy,
    ) -> Result<Vec<SessionId>, Unavailable> {
        forward!(self.restore(held, by, policy))
    }

    /// Sends a directive to every session of these users except `except`, only through the nodes that hold them.
    /// Returns for each user the number of sessions that it was sent to.
    ///
    /// # Errors
    /// [`Unavailable`]: it may have been sent to all, some or none of the sessions.
    pub async fn send(
        &self,
        users: &[Arc<str>],
        directive: &Directive,
        except: Option<&SessionId>,
    ) -> Result<Vec<usize>, Unavailable> {
        let sending = async { forward!(self.send(users, directive, except)) };
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

/// A directive to sessions, which the nodes that hold them execute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directive {
    /// Sends an event to all sockets, encoded as in [`BusMessage::ToSessions`].
    Event(Bytes),
    /// Ends the sessions, and sends the clients this reason.
    End(Arc<str>),
}

/// Sessions by the node that holds them, to send one message to each node.
#[derive(Default)]
pub(crate) struct ByNode(BTreeMap<NodeId, Vec<SessionId>>);

impl ByNode {
    /// Adds a user's sessions except `except`, and returns how many it added.
    pub(crate) fn add(&mut self, sessions: &[Live], except: Option<&SessionId>) -> usize {
        let wanted = sessions.iter().filter(|live| Some(&live.session) != except);
        wanted.map(|live| self.0.entry(live.holder.node()).or_default().push(live.session.clone())).count()
    }

    /// The messages to publish, each with its channel.
    pub(crate) fn messages(self, of: impl Fn(Vec<SessionId>) -> BusMessage) -> impl Iterator<Item = (Channel, Bytes)> {
        self.0.into_iter().map(move |(node, sessions)| (Channel::Node(node), of(sessions).encode()))
    }
}

impl Directive {
    /// An event without binary parts: `"name",data` in JSON.
    #[must_use]
    pub fn event(json: &str) -> Self {
        Self::Event(Bytes::copy_from_slice(json.as_bytes()))
    }

    pub(crate) fn message(&self, sessions: Vec<SessionId>) -> BusMessage {
        match self {
            Self::Event(event) => BusMessage::ToSessions { sessions, event: event.clone() },
            Self::End(reason) => BusMessage::End { sessions, reason: Arc::clone(reason) },
        }
    }
}
