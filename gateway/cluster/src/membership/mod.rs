//! Port: the live nodes, and the sessions and stays that a dead one leaves behind.
//!
//! Guarantees: a node is live while it renews its lease; a lost lease is never renewed, the node registers a new
//! incarnation instead. Callers add a stay to an incarnation's index before they claim it. A dead incarnation is
//! assigned to one survivor, and to another one if that does not finish within `REAPING_TERMS`. A survivor must have
//! held its own lease for one full term without a break, so that after an outage of the back end all nodes have time to
//! register again. Nodes share a secret, and know each other's addresses while the leases hold. Where several servers share
//! the partitions, a node has a lease on each, and a new incarnation once it lost one of them; without one of the servers,
//! everything goes on with the others, and each server assigns a dead node by itself. Deliberately cleans up nothing
//! itself: it only selects the survivor and lists the stays.

mod homes;
pub(crate) mod memory;
pub(crate) mod redis;

use std::{
    collections::BTreeMap,
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
    partition::{Partition, PartitionSet},
    presence::Stay,
};

/// A survivor that does not finish within this many lease terms is assumed to be dead, too.
pub(crate) const REAPING_TERMS: u32 = 3;

/// Since when the back end, or each part of it, has kept its data: opaque.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered(pub(crate) BTreeMap<Partition, u64>);

impl Remembered {
    /// Learns what is known now. Returns whether data were lost since the last time.
    pub fn learn(&mut self, Self(now): Self) -> bool {
        let is_lost = |(home, since): (&Partition, &u64)| self.0.get(home).is_some_and(|before| before != since);
        let lost = now.iter().any(is_lost);
        self.0.extend(now);
        lost
    }
}

/// An incarnation to clean up after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// Its lease is over.
    pub incarnation: Incarnation,
    /// The partitions in which it is over: a node that is cut off from one of several servers is dead there alone.
    pub within: PartitionSet,
}

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

    /// At most `count` entries of an incarnation's index in these partitions.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn indexed(
        &self,
        incarnation: &Incarnation,
        within: PartitionSet,
        count: usize,
    ) -> Result<Vec<Stay>, Unavailable> {
        forward!(self.indexed(incarnation, within, count))
    }

    /// A dead incarnation for `survivor` to clean up after, if there is one.
    ///
    /// # Errors
    /// [`Unavailable`]: if the answer was lost, the incarnation is assigned again later.
    pub async fn take_dead(&self, survivor: &Incarnation) -> Result<Option<Dead>, Unavailable> {
        forward!(self.take_dead(survivor))
    }

    /// Removes an incarnation that is dead within these partitions, where its stays were all released. Also ends the
    /// lease of a node that shuts down.
    ///
    /// # Errors
    /// [`Unavailable`]; removing again does no harm.
    pub async fn forget_dead(&self, dead: &Incarnation, within: PartitionSet) -> Result<(), Unavailable> {
        forward!(self.forget_dead(dead, within))
    }

    /// The partitions that become unavailable together: one set, or one for each of several servers.
    #[must_use]
    pub fn parts(&self) -> Vec<PartitionSet> {
        match self {
            Self::Memory(_) => vec![PartitionSet::ALL],
            Self::Redis(membership) => membership.parts(),
        }
    }
}
