//! [`super::membership`] for several nodes of one process.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{
    Unavailable,
    ids::{Incarnation, IndexEntry},
    membership::{REAPING_TERMS, Remembered},
};

/// All leases.
#[derive(Clone)]
pub struct MemoryMembership {
    pub(super) term: Duration,
    leases: Arc<Mutex<HashMap<Incarnation, Lease>>>,
}

struct Lease {
    until: Instant,
    since: Instant,
    holds: HashSet<IndexEntry>,
    report: Option<String>,
    /// Until then a survivor is cleaning up.
    reaping_until: Option<Instant>,
}

impl MemoryMembership {
    pub(super) fn new(term: Duration) -> Self {
        Self { term, leases: Arc::default() }
    }

    pub(super) fn register(&self, incarnation: &Incarnation) -> Result<Remembered, Unavailable> {
        let now = Instant::now();
        let (until, holds) = (now + self.term, HashSet::new());
        let lease = Lease { until, since: now, holds, report: None, reaping_until: None };
        self.leases.lock().insert(incarnation.clone(), lease);
        // Constant: the data lasts as long as the process.
        Ok(Remembered(1))
    }

    pub(super) fn renew(&self, incarnation: &Incarnation) -> Result<bool, Unavailable> {
        let now = Instant::now();
        let mut leases = self.leases.lock();
        let live = leases.get_mut(incarnation).filter(|lease| lease.until > now);
        Ok(live.map(|lease| lease.until = now + self.term).is_some())
    }

    pub(super) fn live(&self) -> Result<Vec<Incarnation>, Unavailable> {
        let now = Instant::now();
        let leases = self.leases.lock();
        Ok(leases.iter().filter(|(_, lease)| lease.until > now).map(|(incarnation, _)| incarnation.clone()).collect())
    }

    pub(super) fn report(&self, incarnation: &Incarnation, text: &str) -> Result<(), Unavailable> {
        if let Some(lease) = self.leases.lock().get_mut(incarnation) {
            lease.report = Some(text.to_owned());
        }
        Ok(())
    }

    pub(super) fn reports(&self) -> Result<Vec<(Incarnation, String)>, Unavailable> {
        let leases = self.leases.lock();
        Ok(leases
            .iter()
            .filter_map(|(incarnation, lease)| Some((incarnation.clone(), lease.report.clone()?)))
            .collect())
    }

    pub(super) fn note(&self, incarnation: &Incarnation, holdings: &[IndexEntry]) -> Result<(), Unavailable> {
        if let Some(lease) = self.leases.lock().get_mut(incarnation) {
            lease.holds.extend(holdings.iter().cloned());
        }
        Ok(())
    }

    pub(super) fn strike(&self, incarnation: &Incarnation, holdings: &[IndexEntry]) -> Result<(), Unavailable> {
        if let Some(lease) = self.leases.lock().get_mut(incarnation) {
            for holding in holdings {
                lease.holds.remove(holding);
            }
        }
        Ok(())
    }

    pub(super) fn holdings(&self, incarnation: &Incarnation, count: usize) -> Result<Vec<IndexEntry>, Unavailable> {
        let leases = self.leases.lock();
        let holds = leases.get(incarnation).map(|lease| lease.holds.iter().take(count).cloned().collect());
        Ok(holds.unwrap_or_default())
    }

    pub(super) fn take_dead(&self, survivor: &Incarnation) -> Result<Option<Incarnation>, Unavailable> {
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
            incarnation.clone()
        }))
    }

    pub(super) fn bury(&self, dead: &Incarnation) -> Result<(), Unavailable> {
        self.leases.lock().remove(dead);
        Ok(())
    }
}
