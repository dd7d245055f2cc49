//! Port: who is online in the cluster, and who is in a room: one machine, two scopes.
//!
//! Guarantees: a user is announced ([`crate::wire::BusMessage::Arrived`] on the scope's channel) with the first session
//! in the scope anywhere, and [`crate::wire::BusMessage::Departed`] once: at once if the last session left by
//! [`Ending::Left`], else when it has been gone for the whole grace. Within the grace the user still counts, and a
//! return is not announced. Registrations with [`Announce::No`] are not announced, and in rooms of more than
//! `announce_max` members nothing is. Change and announcement are one atomic step. An incarnation cannot end a stay that
//! another incarnation has taken over. Deliberately knows nothing of leases: the survivor that clears up after a dead
//! incarnation removes its stays.

pub(crate) mod memory;
pub(crate) mod redis;
mod reminders;
mod stay;

use std::{sync::Arc, time::Duration};

pub use self::stay::{Scope, Stay};
use crate::{
    Unavailable,
    forward::forward,
    ids::{Incarnation, SessionRef},
    presence::{memory::MemoryPresence, redis::RedisPresence},
    room_name::RoomName,
};

/// A stay to register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The stay.
    pub stay: Stay,
    /// What a room's members get to know of the user: any text. Not used in the cluster's scope.
    pub profile: Arc<str>,
}

impl From<&SessionRef> for Entry {
    /// A session's stay in the cluster.
    fn from(session: &SessionRef) -> Self {
        Self { stay: Stay::online(session), profile: "".into() }
    }
}

/// Whether to announce the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announce {
    /// The user arrived.
    Yes,
    /// The user never left, but the back end lost its data: register without announcing.
    No,
}

/// How a stay ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The user left: announced at once.
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

/// What applies to all stays.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PresenceTerms {
    /// How long a user may be gone before that is announced.
    pub(crate) grace: Duration,
    /// A room with more members than this receives no announcements.
    pub(crate) announce_max: usize,
}

/// The port.
#[derive(Clone)]
pub enum Presence {
    /// Within one process.
    Memory(MemoryPresence),
    /// A hash of sessions per scope and user in Redis, and a hash of members per room.
    Redis(RedisPresence),
}

impl Presence {
    /// Registers these stays under `by`. Returns how many members each room then has; 0 for the cluster's scope.
    /// Repeating the call does no harm.
    ///
    /// # Errors
    /// [`Unavailable`] when some may not have been written.
    pub async fn enter(
        &self,
        entries: &[Entry],
        by: &Incarnation,
        announce: Announce,
    ) -> Result<Vec<usize>, Unavailable> {
        forward!(self.enter(entries, by, announce))
    }

    /// Removes those of these stays that `by` holds.
    ///
    /// # Errors
    /// [`Unavailable`] when some may not have been removed: repeating the call does no harm.
    pub async fn leave(&self, stays: &[Stay], by: &Incarnation, ending: Ending) -> Result<(), Unavailable> {
        forward!(self.leave(stays, by, ending))
    }

    /// Announces that the users whose grace is over have departed. Every node calls it periodically; one of them
    /// announces each user.
    ///
    /// # Errors
    /// [`Unavailable`] when some were not announced: the next call announces them.
    pub async fn settle(&self) -> Result<(), Unavailable> {
        forward!(self.settle())
    }

    /// Whether each of these users is online, in their order. A user within the grace is online.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn online(&self, users: &[Arc<str>]) -> Result<Vec<bool>, Unavailable> {
        forward!(self.online(users))
    }

    /// How many members a room has, and the profiles of at most `max` of them.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn members(&self, room: &RoomName, max: usize) -> Result<Members, Unavailable> {
        forward!(self.members(room, max))
    }
}
