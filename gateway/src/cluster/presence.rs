//! Port: who is online, and the announcement of comings and goings.
//!
//! Guarantees: a user is announced online ([`super::notice::Notice::Presence`] on [`super::bus::Channel::Presence`])
//! with the first session anywhere, and offline once, when the last has been gone for the whole grace; a return within
//! the grace is silent, and so is what is said [`Saying::Quietly`]. The announcement and the change are one atomic step. A session that another incarnation has
//! taken over is not ended by the old one. Deliberately knows nothing of leases: whoever finds an incarnation dead
//! takes its sessions away.

use std::sync::Arc;

use super::{
    Unavailable,
    ids::{Holding, Incarnation},
    presence_memory::MemoryPresence,
    presence_redis::RedisPresence,
};

/// Whether a user's coming is to be announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saying {
    /// The user came.
    Aloud,
    /// The user has been there all the time, only the back end has forgotten.
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
    /// These sessions are there, on the node of `by`. Saying it again does no harm.
    ///
    /// # Errors
    /// [`Unavailable`] when some may not have been written.
    pub async fn enter(&self, holdings: &[Holding], by: &Incarnation, saying: Saying) -> Result<(), Unavailable> {
        match self {
            Self::Memory(presence) => presence.enter(holdings, by, saying),
            Self::Redis(presence) => presence.enter(holdings, by, saying).await,
        }
    }

    /// These sessions are gone, where they were `by`'s; the grace of a user without others begins.
    ///
    /// # Errors
    /// [`Unavailable`] when some may still be there: saying it again does no harm.
    pub async fn leave(&self, holdings: &[Holding], by: &Incarnation) -> Result<(), Unavailable> {
        match self {
            Self::Memory(presence) => presence.leave(holdings, by),
            Self::Redis(presence) => presence.leave(holdings, by).await,
        }
    }

    /// Announces those whose grace is over. Every node calls it all the time; each user is announced by one.
    ///
    /// # Errors
    /// [`Unavailable`] when some were not announced: the next call does.
    pub async fn settle(&self) -> Result<(), Unavailable> {
        match self {
            Self::Memory(presence) => presence.settle(),
            Self::Redis(presence) => presence.settle().await,
        }
    }

    /// Which of these users are online, in their order; a user within the grace is.
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
