//! Port: the live nodes, and the sessions and stays that a dead one leaves behind.
//!
//! Guarantees: a node is live while it renews its lease; a lost lease is never renewed, the node registers a new
//! incarnation instead. Callers add a stay to an incarnation's index before they claim it. A dead incarnation is
//! assigned to one survivor, and to another one if that does not finish within `REAPING_TERMS`. A survivor must have
//! held its own lease for one full term without a break, so that after an outage of the back end all nodes have time to
//! register again. Nodes share a secret, and know each other's addresses while the leases hold. Deliberately cleans up nothing itself: it only selects the survivor and lists the stays.

pub(crate) mod memory;
pub(crate) mod redis;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use crate::{
    Unavailable,
    forward::forward,
    ids::{Incarnation, NodeId},
    membership::memory::MemoryMembership,
    membership::redis::RedisMembership,
    presence::Stay,
};

/// A survivor that does not finish within this many lease terms is assumed to be dead, too.
pub(crate) const REAPING_TERMS: u32 = 3;

/// Since when the back end has kept its data: opaque. If it changes, all data was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered(pub(crate) u64);

/// A secret that all nodes of a cluster share.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Self(Arc::new(rand::random::<[u8; 32]>()))
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Without the secret, so that no log contains it.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The port.
#[derive(Clone)]
pub enum Membership {
    /// Within one process.
    Memory(MemoryMembership),
    /// A sorted set of leases in Redis.
    Redis(RedisMembership),
}

impl Membership {
    /// How long a lease lasts without being renewed.
    #[must_use]
    pub fn term(&self) -> Duration {
        match self {
            Self::Memory(membership) => membership.term,
            Self::Redis(membership) => membership.term,
        }
    }

    /// Begins a lease of a node, which other nodes reach at `address`.
    ///
    /// # Errors
    /// [`Unavailable`]: the lease may or may not have begun; a lease that is not renewed ends by itself.
    pub async fn register(&self, node: &NodeId, address: &str) -> Result<(Incarnation, Remembered), Unavailable> {
        let incarnation = Incarnation::new(node);
        forward!(self.register(&incarnation, address)).map(|remembered| (incarnation, remembered))
    }

    /// Renews a lease; false if it was lost.
    ///
    /// # Errors
    /// [`Unavailable`]: the lease may not have been renewed.
    pub async fn renew(&self, incarnation: &Incarnation) -> Result<bool, Unavailable> {
        forward!(self.renew(incarnation))
    }

    /// All incarnations whose lease holds.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn live(&self) -> Result<Vec<Incarnation>, Unavailable> {
        forward!(self.live())
    }

    /// Stores an incarnation's report about itself for all nodes, until the next report or its removal.
    ///
    /// # Errors
    /// [`Unavailable`]: the report may not have been stored.
    pub async fn report(&self, incarnation: &Incarnation, text: &str) -> Result<(), Unavailable> {
        forward!(self.report(incarnation, text))
    }

    /// The last reports of all incarnations that were not removed, including those whose lease has ended.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn reports(&self) -> Result<Vec<(Incarnation, String)>, Unavailable> {
        forward!(self.reports())
    }

    /// The secret that all nodes share: the first one that was proposed since the back end last lost its data.
    ///
    /// # Errors
    /// [`Unavailable`]: the proposal may have been accepted.
    pub async fn secret(&self, proposed: &Secret) -> Result<Secret, Unavailable> {
        forward!(self.secret(proposed))
    }

    /// The incarnation and the address of the live node with this [tag](NodeId::tag).
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn address(&self, tag: &str) -> Result<Option<(Incarnation, String)>, Unavailable> {
        forward!(self.address(tag))
    }

    /// This machine's address on the way to the back end; loopback if that is on this machine.
    ///
    /// # Errors
    /// [`Unavailable`]: it is not known now, for example because the name of the back end cannot be resolved.
    pub async fn local_address(&self) -> Result<IpAddr, Unavailable> {
        match self {
            Self::Memory(_) => Ok(Ipv4Addr::LOCALHOST.into()),
            Self::Redis(membership) => membership.local_address().await,
        }
    }

    /// Adds stays to the index of an incarnation that is about to claim them.
    ///
    /// # Errors
    /// [`Unavailable`]: some may not be in the index; do not claim them, or release them again.
    pub async fn index_add(&self, incarnation: &Incarnation, stays: &[Stay]) -> Result<(), Unavailable> {
        forward!(self.index_add(incarnation, stays))
    }

    /// Removes stays from an incarnation's index, after they were released everywhere.
    ///
    /// # Errors
    /// [`Unavailable`]; removing them again does no harm.
    pub async fn index_remove(&self, incarnation: &Incarnation, stays: &[Stay]) -> Result<(), Unavailable> {
        forward!(self.index_remove(incarnation, stays))
    }

    /// At most `count` entries of an incarnation's index.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn indexed(&self, incarnation: &Incarnation, count: usize) -> Result<Vec<Stay>, Unavailable> {
        forward!(self.indexed(incarnation, count))
    }

    /// A dead incarnation for `survivor` to clean up after, if there is one.
    ///
    /// # Errors
    /// [`Unavailable`]: if the answer was lost, the incarnation is assigned again later.
    pub async fn take_dead(&self, survivor: &Incarnation) -> Result<Option<Incarnation>, Unavailable> {
        forward!(self.take_dead(survivor))
    }

    /// Removes `dead`, whose stays were all released. Also ends the lease of a node that shuts down.
    ///
    /// # Errors
    /// [`Unavailable`]; removing again does no harm.
    pub async fn forget_dead(&self, dead: &Incarnation) -> Result<(), Unavailable> {
        forward!(self.forget_dead(dead))
    }
}
