//! Port: what happened, in order, for backends that must not miss it; and how far each backend's hook has got.
//!
//! Guarantees: a fact is recorded in the same atomic step that makes it true, by the script of the port that it is
//! about ([`crate::connects`], [`crate::sessions`], [`crate::presence`], [`crate::log`]), which runs no other commands
//! if the kind is not among [`FactTerms::kinds`]. The log has a part in each [`Partition`]. Facts about one user's
//! sessions and presence are in one partition, and so are facts about one room; a partition numbers its facts without
//! holes within an epoch. A partition keeps its newest facts, by [`FactTerms::max`] and [`FactTerms::age`]; a reader
//! learns how many it missed, and that a new epoch began because data was lost. A session's `session.started` and
//! `session.ended` alternate, as long as the back end keeps its data.
//!
//! At most one incarnation holds the lease of a partition: only it saves the progress of hooks there. Progress is saved
//! against the version that was read, so that two writers never mix. Deliberately delivers nothing, and does not know
//! what a hook is besides its name.
//!
//! In Redis the keys of a partition's facts are passed to the scripts as KEYS.

mod fact;
mod kind;
pub(crate) mod memory;
mod memory_log;
pub(crate) mod outbox;
mod page;
mod progress;
pub(crate) mod redis;

use std::time::Duration;

pub use self::{
    fact::{Fact, FactId},
    kind::{Kind, Kinds},
    page::{FactTerms, PAGE_BYTES, Page},
    progress::{DEAD_MAX, Dead, HookState, HookStatus, Parked, Progress, Saved},
};
use crate::{
    Unavailable,
    facts::{memory::MemoryFacts, redis::RedisFacts},
    forward::forward,
    ids::Incarnation,
    log::Position,
    partition::Partition,
};

/// A partition's end, and the version of each hook's progress in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// The epoch and last number; zero if nothing was ever recorded.
    pub end: Position,
    /// In the order of the hooks; `None` if the back end knows no progress.
    pub versions: Vec<Option<u64>>,
}

/// The beginning of a hook that the back end does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With the next fact: the hook is new.
    AtEnd,
    /// With the oldest fact: the back end lost the progress.
    AtOldest,
}

/// The port.
#[derive(Clone)]
pub enum Facts {
    /// Within one process.
    Memory(MemoryFacts),
    /// A stream per partition in Redis.
    Redis(RedisFacts),
}

impl Facts {
    /// The kinds that are recorded.
    #[must_use]
    pub fn kinds(&self) -> Kinds {
        match self {
            Self::Memory(facts) => facts.terms.kinds,
            Self::Redis(facts) => facts.terms.kinds,
        }
    }

    /// At most `count` facts of a partition after this position, which is zero for the oldest. If the log ends before
    /// the position, it has fallen back, and a new, later epoch begins.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn read(&self, partition: Partition, after: Position, count: usize) -> Result<Page, Unavailable> {
        forward!(self.read(partition, after, count))
    }

    /// The tips of these partitions.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn tips(&self, partitions: &[Partition], hooks: &[&str]) -> Result<Vec<Tip>, Unavailable> {
        forward!(self.tips(partitions, hooks))
    }

    /// Counts `by` among the incarnations that deliver facts, for the duration of a lease. Returns their number.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn deliverers(&self, by: &Incarnation, lease: Duration) -> Result<usize, Unavailable> {
        forward!(self.deliverers(by, lease))
    }

    /// Takes or renews the leases of these partitions. Returns whether `by` holds each.
    ///
    /// # Errors
    /// [`Unavailable`]: some may have been taken; a lease that is not renewed ends by itself.
    pub async fn lease(
        &self,
        partitions: &[Partition],
        by: &Incarnation,
        lease: Duration,
    ) -> Result<Vec<bool>, Unavailable> {
        forward!(self.lease(partitions, by, lease))
    }

    /// Gives up those of these leases that `by` holds, and if these are all partitions, its place among the deliverers.
    ///
    /// # Errors
    /// [`Unavailable`]: the leases end by themselves.
    pub async fn leave(&self, partitions: &[Partition], by: &Incarnation) -> Result<(), Unavailable> {
        forward!(self.leave(partitions, by))
    }

    /// Makes sure that a hook's progress in all partitions is known, from now on; of several servers, on those that
    /// answer.
    ///
    /// # Errors
    /// [`Unavailable`]: none answers; beginning again does no harm.
    pub async fn begin(&self, hook: &str, begin: Begin) -> Result<(), Unavailable> {
        forward!(self.begin(hook, begin))
    }

    /// A hook's progress in a partition. If the back end has lost it, it begins with the oldest fact.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn load(&self, hook: &str, partition: Partition) -> Result<HookState, Unavailable> {
        forward!(self.load(hook, partition))
    }

    /// Saves a hook's progress in a partition whose lease `by` holds, if its version is still this one.
    ///
    /// # Errors
    /// [`Unavailable`]: the progress may or may not have been saved.
    pub async fn save(
        &self,
        hook: &str,
        partition: Partition,
        by: &Incarnation,
        version: u64,
        progress: &Progress,
    ) -> Result<Saved, Unavailable> {
        forward!(self.save(hook, partition, by, version, progress))
    }

    /// A hook's progress in all partitions together.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn status(&self, hook: &str) -> Result<HookStatus, Unavailable> {
        forward!(self.status(hook))
    }

    /// A hook's dead facts, oldest death first in each partition.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn dead(&self, hook: &str) -> Result<Vec<Dead>, Unavailable> {
        forward!(self.dead(hook))
    }

    /// Parks dead facts again, so that they are sent until the end of a new term: those with these ids, or all.
    /// Returns how many.
    ///
    /// # Errors
    /// [`Unavailable`]: some may have been parked; repeating the call does no harm.
    pub async fn retry(&self, hook: &str, ids: Option<&[FactId]>, term: Duration) -> Result<usize, Unavailable> {
        forward!(self.retry(hook, ids, term))
    }
}
