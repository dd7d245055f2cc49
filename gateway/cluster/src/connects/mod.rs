//! Port: a client's connect, as one atomic step in one round trip: it claims the session, makes the user online and
//! counts the unread notifications.
//!
//! Guarantees: a claim is atomic over the whole cluster, and gets a higher generation than every session of the user.
//! Above the limit, [`OnConflict::Evict`](crate::sessions::OnConflict) evicts the sessions with the lowest generations,
//! and `Reject` refuses the claim; a refused claim changes nothing else. The same step sends
//! [`crate::wire::BusMessage::Evicted`] to the node of each evicted session, at most once, and then announces the
//! user's arrival, if this is the first session, as [`crate::presence`] does. The session is in the index of
//! [`crate::membership`] before the claim. The count and the end of the user's log are those at the time of the claim:
//! every later event for the user is sent to the session.
//!
//! Deliberately knows no leases: the caller names the incarnations that are dead.

pub(crate) mod memory;
pub(crate) mod redis;

use crate::{
    Unavailable,
    connects::{memory::MemoryConnects, redis::RedisConnects},
    forward::forward,
    ids::{Incarnation, SessionRef},
    log::Position,
    recovery::{Record, Wish},
    sessions::Policy,
};

/// The outcome of a connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connected {
    /// The session was granted, as the newest of its user.
    Granted(Granted),
    /// The user has reached the limit.
    Refused {
        /// The holder of each session, oldest session first.
        holders: Vec<Incarnation>,
    },
}

/// A granted session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// Later claims of the user get higher generations.
    pub generation: u64,
    /// How many notifications of the user are unread.
    pub unread: u64,
    /// When the user's arrival was announced, in Unix milliseconds; `None` if the user was online before.
    pub arrived: Option<i64>,
    /// The end of the user's log: every later event for the user is sent to the session.
    pub end: Position,
    /// The record that the client came back to, which is the session's now. The node of the session before was sent
    /// [`crate::wire::BusMessage::Evicted`] for it.
    pub record: Option<Record>,
}

/// The port.
#[derive(Clone)]
pub enum Connects {
    /// Within one process.
    Memory(Box<MemoryConnects>),
    /// A script in Redis over one user's keys.
    Redis(RedisConnects),
}

impl Connects {
    /// Claims a session for `session.user`, and makes the user online. Sessions of the incarnations in `dead` do not
    /// count and are removed, and neither does the session of the record that the client comes back to. With a `wish`
    /// the session has a record from now on.
    ///
    /// # Errors
    /// [`Unavailable`]: the session may or may not have been granted; release it.
    pub async fn connect(
        &self,
        session: &SessionRef,
        by: &Incarnation,
        policy: Policy,
        dead: &[Incarnation],
        wish: Option<&Wish>,
    ) -> Result<Connected, Unavailable> {
        forward!(self.connect(session, by, policy, dead, wish))
    }
}
