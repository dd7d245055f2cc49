//! Port: which users are online, and the announcements when they come online and go offline.
//!
//! Guarantees: a user is announced online ([`super::notice::Notice::Presence`] on [`super::bus::Channel::Presence`])
//! with the first session anywhere, and offline once, when the last session has been gone for the whole grace. A return
//! within the grace is not announced, nor is a session registered with [`Saying::Quietly`]. The announcement and the
//! change are one atomic step. An incarnation cannot end a session that another incarnation has taken over.
//! Deliberately knows nothing of leases: the survivor that clears up after a dead incarnation removes its sessions.

use std::sync::Arc;

use super::{
    Unavailable,
    ids::{Holding, Incarnation},
    presence_memory::MemoryPresence,
    presence_redis::RedisPresence,
};

/// Whether to announce the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saying {
    /// The user came.
    Aloud,
    /// The user never left, but the back end lost its data: register without announcing.
    Quietly,
}

impl Saying {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Aloud => "aloud",
            Self::Quietly => "quietly",
        }
    }
}

/// The port.
#[derive(Clone)]
pub enum Presence {
    /// Within one process.
    Memory(MemoryPresence),
    /// A hash per user in Redis.
    Redis(RedisPresence),
}

impl Presence {
    /// Registers these sessions under `by`. Repeating the call does no harm.
    ///
    /// # Errors
    /// [`Unavailable`] when some may not have been written.
    pub async fn enter(&self, holdings: &[Holding], by: &Incarnation, saying: Saying) -> Result<(), Unavailable> {
        match self {
            Self::Memory(presence) => presence.enter(holdings, by, saying),
            Self::Redis(presence) => presence.enter(holdings, by, saying).await,
        }
    }

    /// Removes those of these sessions that `by` holds. The grace begins for users who have no session left.
    ///
    /// # Errors
    /// [`Unavailable`] when some may not have been removed: repeating the call does no harm.
    pub async fn leave(&self, holdings: &[Holding], by: &Incarnation) -> Result<(), Unavailable> {
        match self {
            Self::Memory(presence) => presence.leave(holdings, by),
            Self::Redis(presence) => presence.leave(holdings, by).await,
        }
    }

    /// Announces as offline the users whose grace is over. Every node calls it periodically; one announces each user.
    ///
    /// # Errors
    /// [`Unavailable`] when some were not announced: the next call announces them.
    pub async fn settle(&self) -> Result<(), Unavailable> {
        match self {
            Self::Memory(presence) => presence.settle(),
            Self::Redis(presence) => presence.settle().await,
        }
    }

    /// Whether each of these users is online, in their order. A user within the grace is online.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn online(&self, users: &[Arc<str>]) -> Result<Vec<bool>, Unavailable> {
        match self {
            Self::Memory(presence) => presence.online(users),
            Self::Redis(presence) => presence.online(users).await,
        }
    }
}
