//! [`crate::membership`] for several nodes of one process.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    Unavailable,
    ids::Incarnation,
    membership::{Dead, REAPING_TERMS, Remembered, Secret},
    partition::{Partition, PartitionSet},
    presence::Stay,
};

/// All leases.
#[derive(Clone)]
pub struct MemoryMembership {
    pub(crate) term: Duration,
    leases: Arc<Mutex<HashMap<Incarnation, Lease>>>,
    secret: Arc<OnceLock<Secret>>,
}

struct Lease {
    until: Instant,
    since: Instant,
    holds: HashSet<Stay>,
    report: Option<String>,
    address: String,
    /// Until this time a survivor may clean up.
    reaping_until: Option<Instant>,
}

impl MemoryMembership {
    pub(crate) fn new(term: Duration) -> Self {
        Self { term, leases: Arc::default(), secret: Arc::default() }
    }

    pub(crate) fn register(&self, incarnation: &Incarnation, address: &str) -> Result<Remembered, Unavailable> {
        let now = Instant::now();
        let (until, holds) = (now + self.term, HashSet::new());
        let address = address.to_owned();
        let lease = Lease { until, since: now, holds, report: None, address, reaping_until: None };
        self.leases.lock().insert(incarnation.clone(), lease);
        // Constant: the data lasts as long as the process.
        Ok(Remembered([(Partition::FIRST, 1)].into()))
    }

    pub(crate) fn renew(&self, incarnation: &Incarnation) -> Result<bool, Unavailable> {
        let now = Instant::now();
        let mut leases = self.leases.lock();
        let live = leases.get_mut(incarnation).filter(|lease| lease.until > now);
        Ok(live.map(|lease| lease.until = now + self.term).is_some())
    }

    pub(crate) fn live(&self) -> Result<Vec<Incarnation>, Unavailable> {
        let now = Instant::now();
        let leases = self.leases.lock();
        Ok(leases.iter().filter(|(_, lease)| lease.until > now).map(|(incarnation, _)| incarnation.clone()).collect())
    }

    pub(crate) fn report(&self, incarnation: &Incarnation, text: &str) -> Result<(), Unavailable> {
        if let Some(lease) = self.leases.lock().get_mut(incarnation) {
            lease.report = Some(text.to_owned());
        }
        Ok(())
    }

    pub(crate) fn reports(&self) -> Result<Vec<(Incarnation, String)>, Unavailable> {
        let leases = self.leases.lock();
        Ok(leases
            .iter()
            .filter_map(|(incarnation, lease)| Some((incarnation.clone(), lease.report.clone()?)))
            .collect())
    }

    pub(crate) fn secret(&self, proposed: &Secret) -> Result<Secret, Unavailable> {
        Ok(self.secret.get_or_init(|| proposed.clone()).clone())
    }

    pub(crate) fn address(&self, tag: &str) -> Result<Option<(Incarnation, String)>, Unavailable> {
        let now = Instant::now();
        let leases = self.leases.lock();
        let live = leases.iter().filter(|(incarnation, lease)| lease.until > now && incarnation.node().tag() == tag);
        // A node that lost its lease may have two incarnations for a moment.
        let newest = live.max_by_key(|(_, lease)| lease.since);
        Ok(newest.map(|(incarnation, lease)| (incarnation.clone(), lease.address.clone())))
    }

    pub(crate) fn index_add(&self, incarnation: &Incarnation, stays: &[Stay]) -> Result<(), Unavailable> {
        if let Some(lease) = self.leases.lock().get_mut(incarnation) {
            lease.holds.extend(stays.iter().cloned());
        }
        Ok(())
    }

    pub(crate) fn index_remove(&self, incarnation: &Incarnation, stays: &[Stay]) -> Result<(), Unavailable> {
        if let Some(lease) = self.leases.lock().get_mut(incarnation) {
            for stay in stays {
                lease.holds.remove(stay);
            }
        }
        Ok(())
    }

    pub(crate) fn indexed(
        &self,
        incarnation: &Incarnation,
        within: PartitionSet,
        count: usize,
    ) -> Result<Vec<Stay>, Unavailable> {
        let leases = self.leases.lock();
        let holds = leases.get(incarnation).map(|lease| {
            let within = lease.holds.iter().filter(|stay| within.contains(stay.partition()));
            within.take(count).cloned().collect()
        });
        Ok(holds.unwrap_or_default())
    }

    pub(crate) fn take_dead(&self, survivor: &Incarnation) -> Result<Option<Dead>, Unavailable> {
        let now = Instant::now();
        let mut leases = self.leases.lock();
        let entitled =
            leases.get(survivor).is_some_and(|lease| lease.until > now && now.duration_since(lease.since) >= self.term);
        if !entitled {
            return Ok(None);
        }
        let free = |lease: &Lease| lease.until <= now && lease.reaping_until.is_none_or(|until| until <= now);
        let dead = leases.iter_mut().find(|(_, lease)| free(lease));
        Ok(dead.map(|(incarnation, lease)| {
            lease.reaping_until = Some(now + self.term * REAPING_TERMS);
            Dead { incarnation: incarnation.clone(), within: PartitionSet::ALL }
        }))
    }

    pub(crate) fn forget_dead(&self, dead: &Incarnation, _within: PartitionSet) -> Result<(), Unavailable> {
        self.leases.lock().remove(dead);
        Ok(())
    }
}
