//! Port: which users are members of a room, and the announcements to the room when they join and leave.
//!
//! Guarantees: a user is announced to the room ([`super::notice::Notice::Joined`] on [`super::bus::Channel::Room`])
//! with the first session in it anywhere, and as having left once: immediately if the last session left by
//! [`Ending::Left`], else when it has been gone for the whole grace. Within the grace the user still counts as a
//! member, and a return is not announced. Registrations with [`Saying::Quietly`] are not announced; in rooms of more
//! than `announce_max` members nothing is. Change and announcement are one atomic step. Deliberately knows nothing of
//! leases: the survivor that clears up after a dead incarnation removes its stays.

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
    /// The room.
    pub room: RoomName,
    /// The user.
    pub user: Arc<str>,
    /// The session.
    pub session: SessionId,
}

/// A stay, and the user's profile as other members see it: a JSON object of `userId` and `name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The stay.
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
    /// Number of all members.
    pub count: usize,
    /// The profiles of some of them.
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
    /// Registers these stays under `by`. Returns how many members each room then has. Repeating the call does no harm.
    ///
    /// # Errors
    /// [`Unavailable`] when some may not have been written.
    pub async fn enter(&self, entries: &[Entry], by: &Incarnation, saying: Saying) -> Result<Vec<usize>, Unavailable> {
        match self {
            Self::Memory(presence) => presence.enter(entries, by, saying),
            Self::Redis(presence) => presence.enter(entries, by, saying).await,
        }
    }

    /// Removes those of these stays that `by` holds.
    ///
    /// # Errors
    /// [`Unavailable`] when some may not have been removed: repeating the call does no harm.
    pub async fn leave(&self, stays: &[Stay], by: &Incarnation, ending: Ending) -> Result<(), Unavailable> {
        match self {
            Self::Memory(presence) => presence.leave(stays, by, ending),
            Self::Redis(presence) => presence.leave(stays, by, ending).await,
        }
    }

    /// Removes members whose grace is over, and announces that they left. Every node calls it periodically; one of them
    /// announces each member.
    ///
    /// # Errors
    /// [`Unavailable`] when some were not announced: the next call announces them.
    pub async fn settle(&self) -> Result<(), Unavailable> {
        match self {
            Self::Memory(presence) => presence.settle(),
            Self::Redis(presence) => presence.settle().await,
        }
    }

    /// How many members a room has, and the profiles of at most `most` of them.
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
