//! Port: which nodes live, and what a dead one leaves behind.
//!
//! Guarantees: a node lives while it renews its lease; a lost lease is never renewed, the node registers a new
//! incarnation instead. What an incarnation holds stands in its index before it is claimed. A dead incarnation is given
//! to exactly one survivor at a time, never to one that has not held its own lease unbroken for one full term (so that
//! nobody is buried just because the back end was away), and to another where that one does not finish.
//! Deliberately does not clear anything up itself: it says who is to, and what.

use std::time::Duration;

use super::{
    Unavailable,
    ids::{Incarnation, IndexEntry, NodeId},
    membership_memory::MemoryMembership,
    membership_redis::RedisMembership,
};

/// A survivor that has not finished within this many lease terms is taken to have died too.
pub(super) const REAPING_TERMS: u32 = 3;

/// Since when the back end remembers what it was told: opaque. Another one than before, and everything was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered(pub(super) u64);

/// The port.
#[derive(Clone)]
pub enum Membership {
    /// Within one process.
    Memory(MemoryMembership),
    /// A sorted set of leases in Redis.
    Redis(RedisMembership),
}

impl Membership {
    /// A lease lasts this long without being renewed.
    #[must_use]
    pub fn term(&self) -> Duration {
        match self {
            Self::Memory(membership) => membership.term,
            Self::Redis(membership) => membership.term,
        }
    }

    /// Begins a lease.
    ///
    /// # Errors
    /// [`Unavailable`] when it may not have begun; a lease that nobody renews ends by itself.
    pub async fn register(&self, node: &NodeId) -> Result<(Incarnation, Remembered), Unavailable> {
        let incarnation = Incarnation::new(node);
        match self {
            Self::Memory(membership) => membership.register(&incarnation),
            Self::Redis(membership) => membership.register(&incarnation).await,
        }
        .map(|remembered| (incarnation, remembered))
    }

    /// Renews a lease; false when it was lost.
    ///
    /// # Errors
    /// [`Unavailable`] when it may not have been renewed.
    pub async fn renew(&self, incarnation: &Incarnation) -> Result<bool, Unavailable> {
        match self {
            Self::Memory(membership) => membership.renew(incarnation),
            Self::Redis(membership) => membership.renew(incarnation).await,
        }
    }

    /// All incarnations whose lease holds.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn live(&self) -> Result<Vec<Incarnation>, Unavailable> {
        match self {
            Self::Memory(membership) => membership.live(),
            Self::Redis(membership) => membership.live().await,
        }
    }

    /// What an incarnation says of itself to all others, until it says something else or is buried.
    ///
    /// # Errors
    /// [`Unavailable`] when it may not be known.
    pub async fn report(&self, incarnation: &Incarnation, text: &str) -> Result<(), Unavailable> {
        match self {
            Self::Memory(membership) => membership.report(incarnation, text),
            Self::Redis(membership) => membership.report(incarnation, text).await,
        }
    }

    /// What all incarnations that are not buried said of themselves last, those whose lease is over too.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn reports(&self) -> Result<Vec<(Incarnation, String)>, Unavailable> {
        match self {
            Self::Memory(membership) => membership.reports(),
            Self::Redis(membership) => membership.reports().await,
        }
    }

    /// Notes what an incarnation is about to hold.
    ///
    /// # Errors
    /// [`Unavailable`] when it may not be noted: then do not claim it.
    pub async fn note(&self, incarnation: &Incarnation, holdings: &[IndexEntry]) -> Result<(), Unavailable> {
        match self {
            Self::Memory(membership) => membership.note(incarnation, holdings),
            Self::Redis(membership) => membership.note(incarnation, holdings).await,
        }
    }

    /// Strikes out what an incarnation holds no more, after it was released everywhere.
    ///
    /// # Errors
    /// [`Unavailable`]; striking out again does no harm.
    pub async fn strike(&self, incarnation: &Incarnation, holdings: &[IndexEntry]) -> Result<(), Unavailable> {
        match self {
            Self::Memory(membership) => membership.strike(incarnation, holdings),
            Self::Redis(membership) => membership.strike(incarnation, holdings).await,
        }
    }

    /// At most `count` of what an incarnation holds.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn holdings(&self, incarnation: &Incarnation, count: usize) -> Result<Vec<IndexEntry>, Unavailable> {
        match self {
            Self::Memory(membership) => membership.holdings(incarnation, count),
            Self::Redis(membership) => membership.holdings(incarnation, count).await,
        }
    }

    /// A dead incarnation that `survivor` is to clear up after, if there is one.
    ///
    /// # Errors
    /// [`Unavailable`]; one that was given and not heard of goes to another later.
    pub async fn take_dead(&self, survivor: &Incarnation) -> Result<Option<Incarnation>, Unavailable> {
        match self {
            Self::Memory(membership) => membership.take_dead(survivor),
            Self::Redis(membership) => membership.take_dead(survivor).await,
        }
    }

    /// Nothing is left of `dead`. Also ends the lease of a node that leaves by itself.
    ///
    /// # Errors
    /// [`Unavailable`]; burying again does no harm.
    pub async fn bury(&self, dead: &Incarnation) -> Result<(), Unavailable> {
        match self {
            Self::Memory(membership) => membership.bury(dead),
            Self::Redis(membership) => membership.bury(dead).await,
        }
    }
}
