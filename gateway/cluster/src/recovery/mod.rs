//! Port: records of clients that can be recovered, so that a client that comes back is who it was, in the rooms that it
//! was in.
//!
//! A record belongs to a user, and to the session of that user that its client has now. For each namespace it has the
//! socket's public id, its stays in rooms, by their numbers, and the users whose presence it watches.
//! [`crate::connects`] begins records, and passes one on to the session of a client that comes back, which ends the
//! session before; [`crate::sessions`] keeps it for [`Terms::recovery`](crate::Terms::recovery) when the session ends,
//! or deletes it, as an eviction does.
//!
//! Guarantees: only a record of the same user is found; at any time it belongs to one session, and no other session
//! changes it. Deliberately knows nothing of messages: the client itself says which it has handled.

pub(crate) mod memory;
pub(crate) mod record;
pub(crate) mod records;
pub(crate) mod redis;

use std::sync::Arc;

use jackfield_shared::claims::Marks;

pub use self::record::{Place, Record, Wish};
use crate::{
    Unavailable,
    forward::forward,
    ids::{RecordId, SessionRef, SocketId},
    recovery::{memory::MemoryRecovery, redis::RedisRecovery},
};

/// The port.
#[derive(Clone)]
pub enum Recovery {
    /// Within one process.
    Memory(MemoryRecovery),
    /// A hash for each record in Redis.
    Redis(RedisRecovery),
}

impl Recovery {
    /// Adds a new socket, without stays, to the record of a session, which may be a new one. `token` are the marks of the
    /// client's token. Another record that the session had is deleted.
    ///
    /// # Errors
    /// [`Unavailable`]: the socket may not be in the record, and then cannot be recovered.
    pub async fn begin(
        &self,
        session: &SessionRef,
        record: RecordId,
        namespace: &str,
        socket: SocketId,
        token: Marks,
    ) -> Result<(), Unavailable> {
        forward!(self.begin(session, record, namespace, socket, token))
    }

    /// The socket that the session's record has in a namespace.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn resume(
        &self,
        session: &SessionRef,
        record: RecordId,
        namespace: &str,
    ) -> Result<Option<Record>, Unavailable> {
        forward!(self.resume(session, record, namespace))
    }

    /// Replaces the list of users whose presence the socket of a namespace watches. Does nothing if the record is
    /// another session's.
    ///
    /// # Errors
    /// [`Unavailable`]: the list may not have been replaced.
    pub async fn watch(
        &self,
        session: &SessionRef,
        record: RecordId,
        namespace: &str,
        users: &[Arc<str>],
    ) -> Result<(), Unavailable> {
        forward!(self.watch(session, record, namespace, users))
    }

    /// Adds a stay to the session's record. Does nothing if the record is another session's.
    ///
    /// # Errors
    /// [`Unavailable`]: the stay may not be in the record.
    pub async fn enter(&self, session: &SessionRef, record: RecordId, place: Place<'_>) -> Result<(), Unavailable> {
        forward!(self.enter(session, record, place))
    }

    /// Removes the socket of a namespace from the session's record, with its stays.
    ///
    /// # Errors
    /// [`Unavailable`]: the socket may still be in the record.
    pub async fn forget(&self, session: &SessionRef, record: RecordId, namespace: &str) -> Result<(), Unavailable> {
        forward!(self.forget(session, record, namespace))
    }

    /// Removes a stay from the session's record.
    ///
    /// # Errors
    /// [`Unavailable`]: the stay may still be in the record.
    pub async fn leave(&self, session: &SessionRef, record: RecordId, place: Place<'_>) -> Result<(), Unavailable> {
        forward!(self.leave(session, record, place))
    }
}
