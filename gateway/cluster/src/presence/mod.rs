//! Port: the users that are online in the cluster, and in a room: one mechanism for two scopes.
//!
//! [`crate::connects`] makes users online.
//!
//! Guarantees: the user's first session in a scope, on any node, announces the user's arrival
//! ([`crate::wire::BusMessage::Arrived`] on the scope's channel). The departure is announced once
//! ([`crate::wire::BusMessage::Departed`]): at once if the last session ended by [`Ending::Left`], else after the
//! grace. Within the grace the user still counts as present, and a return is not announced. Registrations with
//! [`Announce::No`] are not announced, and in rooms of more than `announce_max` members nobody is. Change and
//! announcement are one atomic step. An incarnation cannot end a stay that another incarnation has taken over.
//! Deliberately knows no leases: the survivor that cleans up a dead incarnation removes its stays.

pub(crate) mod memory;
pub(crate) mod redis;
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

/// In [`crate::wire::BusMessage::Arrived`]: every socket gets the announcement.
pub(crate) const NO_SESSION: &str = "-";

/// A stay to register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The stay.
    pub stay: Stay,
    /// The text about the user for a room's members. Not used in the cluster's scope.
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
    /// The user arrived: announce.
    Yes,
    /// The back end lost its data, but the user never left: register without announcing.
    No,
}

/// How a stay ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The user left: the departure is announced at once.
    Left,
    /// The connection closed: the grace begins.
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

/// The terms of all stays.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PresenceTerms {
    /// Time from the end of a user's last session to the announcement.
    pub(crate) grace: Duration,
    /// In rooms with more members than this, nobody is announced.
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
    /// [`Unavailable`]: some stays may not have been registered.
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
    /// [`Unavailable`]: some stays may not have been removed; repeating the call does no harm.
    pub async fn leave(&self, stays: &[Stay], by: &Incarnation, ending: Ending) -> Result<(), Unavailable> {
        forward!(self.leave(stays, by, ending))
    }

    /// Announces the departure of users whose grace is over. Every node calls it periodically, and one of them
    /// announces each user.
    ///
    /// # Errors
    /// [`Unavailable`]: some users may not have been announced; the next call announces them.
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
