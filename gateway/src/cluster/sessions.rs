//! Port: who holds which session, and how many a user may have.
//!
//! Guarantees: a claim is atomic over the whole cluster and gets a generation higher than that of every session of the
//! user; with [`OnConflict::Evict`] the oldest generations lose, with [`OnConflict::Reject`] the newcomer does; the node
//! of a session that loses is sent [`super::notice::Notice::Evicted`], at most once, in the same atomic step. A release
//! by an incarnation that no longer holds the session does nothing. After a lost lease or lost data,
//! [`Sessions::restore`] brings a node's sessions back by their generations, and says which of them lost.
//! Deliberately knows nothing of leases: whoever finds an incarnation dead releases what it held.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use jackfield_shared::trace::{Span, SpanKind, within};

use super::{
    Unavailable,
    bus::Channel,
    ids::{Holding, Incarnation, NodeId, SessionId},
    notice::Notice,
    sessions_memory::MemorySessions,
    sessions_redis::RedisSessions,
};

/// What happens to a claim beyond the limit.
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
    /// At most this many; 0 for any number.
    pub limit: u32,
    /// Who loses.
    pub on_conflict: OnConflict,
}

/// What came of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// The session lives, newest of its user at that moment.
    Granted {
        /// Later claims of the user have higher ones.
        generation: u64,
    },
    /// There are as many sessions as may be, held by these.
    Refused {
        /// An entry for each session, oldest first.
        holders: Vec<Incarnation>,
    },
}

/// A session that a node holds and wants back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Whose, and which.
    pub holding: Holding,
    /// As it was granted.
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
    /// Claims a session for `holding.user`. Entries of the incarnations in `dead` do not count and are removed.
    ///
    /// # Errors
    /// [`Unavailable`] when it is not known whether the session was granted: release it then.
    pub async fn claim(
        &self,
        holding: &Holding,
        by: &Incarnation,
        policy: Policy,
        dead: &[Incarnation],
    ) -> Result<Claimed, Unavailable> {
        match self {
            Self::Memory(sessions) => sessions.claim(holding, by, policy, dead),
            Self::Redis(sessions) => sessions.claim(holding, by, policy, dead).await,
        }
    }

    /// Ends sessions, where `by` still holds them.
    ///
    /// # Errors
    /// [`Unavailable`] when some may not have ended: releasing again does no harm.
    pub async fn release(&self, holdings: &[Holding], by: &Incarnation) -> Result<(), Unavailable> {
        match self {
            Self::Memory(sessions) => sessions.release(holdings, by),
            Self::Redis(sessions) => sessions.release(holdings, by).await,
        }
    }

    /// Writes sessions again under the incarnation `by`, and returns those that have lost their place meanwhile.
    ///
    /// # Errors
    /// [`Unavailable`] when some may not have been written: restoring again does no harm.
    pub async fn restore(
        &self,
        held: &[Held],
        by: &Incarnation,
        policy: Policy,
    ) -> Result<Vec<SessionId>, Unavailable> {
        match self {
            Self::Memory(sessions) => sessions.restore(held, by, policy),
            Self::Redis(sessions) => sessions.restore(held, by, policy).await,
        }
    }

    /// Sends an order to every session of these users but `except`, over the nodes that hold them and no others. Returns for
    /// each user how many sessions it went to.
    ///
    /// # Errors
    /// [`Unavailable`] when it is not known to whom it was sent.
    pub async fn send(
        &self,
        users: &[Arc<str>],
        order: &Order,
        except: Option<&SessionId>,
    ) -> Result<Vec<usize>, Unavailable> {
        let sending = async {
            match self {
                Self::Memory(sessions) => sessions.send(users, order, except),
                Self::Redis(sessions) => sessions.send(users, order, except).await,
            }
        };
        within(Span::child("publish", SpanKind::Producer), sending).await
    }

    /// These users' live sessions, each user's oldest first.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn of(&self, users: &[Arc<str>]) -> Result<Vec<Vec<Live>>, Unavailable> {
        match self {
            Self::Memory(sessions) => sessions.of(users),
            Self::Redis(sessions) => sessions.of(users).await,
        }
    }
}

/// A session that lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Which.
    pub session: SessionId,
    /// Microseconds of the back end's clock at which it was claimed.
    pub generation: u64,
    /// On which node.
    pub holder: Incarnation,
}

/// What sessions are told, over the nodes that hold them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// An event for all sockets, as [`Notice::ToSessions`] has it.
    Event(Bytes),
    /// The end, with the reason that the client is told.
    End(Arc<str>),
}

/// Sessions by the node that holds them: what is for them is sent once to each node.
#[derive(Default)]
pub(super) struct ByNode(BTreeMap<NodeId, Vec<SessionId>>);

impl ByNode {
    /// Adds a user's sessions but `except`, and returns how many those are.
    pub(super) fn add(&mut self, sessions: &[Live], except: Option<&SessionId>) -> usize {
        let wanted = sessions.iter().filter(|live| Some(&live.session) != except);
        wanted.map(|live| self.0.entry(live.holder.node()).or_default().push(live.session.clone())).count()
    }

    /// What to publish, and where.
    pub(super) fn notices(self, order: &Order) -> impl Iterator<Item = (Channel, Bytes)> {
        self.0.into_iter().map(|(node, sessions)| (Channel::Node(node), order.notice(sessions).encode()))
    }
}

impl Order {
    /// An event without binary parts, as [`super::notice::event_json`] makes it.
    #[must_use]
    pub fn event(json: &str) -> Self {
        Self::Event(Bytes::copy_from_slice(json.as_bytes()))
    }

    pub(super) fn notice(&self, sessions: Vec<SessionId>) -> Notice {
        match self {
            Self::Event(event) => Notice::ToSessions { sessions, event: event.clone() },
            Self::End(reason) => Notice::End { sessions, reason: Arc::clone(reason) },
        }
    }
}
