//! Port: who is in which room, by user, and the announcement of comings and goings to the room.
//!
//! Guarantees: a user is announced to the room ([`super::notice::Notice::Joined`] on [`super::bus::Channel::Room`]) with
//! the first session in it anywhere, and as having left once: at once when asked for, else when the last session has been
//! gone for the whole grace, within which the user still counts and a return is silent. What is said [`Saying::Quietly`] is not
//! announced. In rooms of more than
//! `announce_max` members nothing is announced. Change and announcement are one atomic step. Deliberately knows nothing of
//! leases: whoever finds an incarnation dead takes its stays away.

use std::sync::Arc;

use super::{
    Unavailable,
    ids::{Incarnation, SessionId},
    presence::Saying,
    room_name::RoomName,
    room_presence_memory::MemoryRoomPresence,
    room_presence_redis::RedisRoomPresence,
};

/// One session in one room.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stay {
    /// Where.
    pub room: RoomName,
    /// Whose.
    pub user: Arc<str>,
    /// Which.
    pub session: SessionId,
}

/// A stay, and how the user is shown to others: a JSON object of `userId` and `name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which stay.
    pub stay: Stay,
    /// JSON.
    pub profile: Arc<str>,
}

/// How a stay ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The user left the room: announced at once.
    Left,
    /// The connection is gone: the grace begins.
    Gone,
}

/// Members of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// All of them.
    pub count: usize,
    /// The profiles of some.
    pub profiles: Vec<String>,
}

/// The port.
#[derive(Clone)]
pub enum RoomPresence {
    /// Within one process.
    Memory(MemoryRoomPresence),
    /// Hashes per room and user in Redis.
    Redis(RedisRoomPresence),
}

impl RoomPresence {
    /// These sessions are in their rooms, on the node of `by`. Returns how many members each room then has. Saying it
    /// again does no harm.
    ///
    /// # Errors
    /// [`Unavailable`] when some may not have been written.
    pub async fn enter(&self, entries: &[Entry], by: &Incarnation, saying: Saying) -> Result<Vec<usize>, Unavailable> {
        match self {
            Self::Memory(presence) => presence.enter(entries, by, saying),
            Self::Redis(presence) => presence.enter(entries, by, saying).await,
        }
    }

    /// These stays are over, where they were `by`'s.
    ///
    /// # Errors
    /// [`Unavailable`] when some may not be: saying it again does no harm.
    pub async fn leave(&self, stays: &[Stay], by: &Incarnation, ending: Ending) -> Result<(), Unavailable> {
        match self {
            Self::Memory(presence) => presence.leave(stays, by, ending),
            Self::Redis(presence) => presence.leave(stays, by, ending).await,
        }
    }

    /// Announces those whose grace is over. Every node calls it all the time; each is announced by one.
    ///
    /// # Errors
    /// [`Unavailable`] when some were not announced: the next call does.
    pub async fn settle(&self) -> Result<(), Unavailable> {
        match self {
            Self::Memory(presence) => presence.settle(),
            Self::Redis(presence) => presence.settle().await,
        }
    }

    /// A room's members, at most `most` of them with their profiles.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn members(&self, room: &RoomName, most: usize) -> Result<Members, Unavailable> {
        match self {
            Self::Memory(presence) => presence.members(room, most),
            Self::Redis(presence) => presence.members(room, most).await,
        }
    }
}
