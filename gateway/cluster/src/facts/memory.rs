//! [`crate::facts`] for several nodes of one process.

use std::{
    array,
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    Unavailable,
    facts::{
        Begin, DEAD_MAX, Dead, FactId, FactTerms, HookState, HookStatus, Kind, Page, Parked, Progress, Saved, Tip,
        memory_log::MemoryPartition,
    },
    ids::Incarnation,
    log::Position,
    now_micros,
    partition::{PARTITIONS, Partition},
};

/// All facts.
#[derive(Clone)]
pub struct MemoryFacts {
    pub(crate) terms: FactTerms,
    state: Arc<Mutex<State>>,
}

struct State {
    partitions: [MemoryPartition; PARTITIONS as usize],
    leases: HashMap<Partition, (Incarnation, Instant)>,
    deliverers: HashMap<Incarnation, Instant>,
    hooks: HashMap<(String, Partition), Hook>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            partitions: array::from_fn(|_| MemoryPartition::default()),
            leases: HashMap::new(),
            deliverers: HashMap::new(),
            hooks: HashMap::new(),
        }
    }
}

#[derive(Default)]
struct Hook {
    cursor: Position,
    version: u64,
    parked: Vec<Parked>,
    dead: VecDeque<Dead>,
    dropped: u64,
    paused_until: u64,
    error: Box<str>,
}

impl MemoryFacts {
    pub(crate) fn new(terms: FactTerms) -> Self {
        Self { terms, state: Arc::default() }
    }

    /// Records a fact about a user or room of this partition, if its kind is wanted. Callers hold the lock of the state
    /// that makes it true.
    pub(crate) fn record<D: Serialize>(&self, kind: Kind, about: Partition, data: impl FnOnce() -> D) {
        if !self.terms.kinds.has(kind) {
            return;
        }
        // Text always serializes.
        self.record_json(kind, about, || serde_json::to_string(&data()).unwrap_or_default());
    }

    /// The same with JSON text.
    pub(crate) fn record_json(&self, kind: Kind, about: Partition, data: impl FnOnce() -> String) {
        if !self.terms.kinds.has(kind) {
            return;
        }
        let max = usize::try_from(self.terms.max / u64::from(PARTITIONS)).unwrap_or(usize::MAX).max(1);
        let log = &mut self.state.lock().partitions[about.index()];
        log.record(about, kind, data().into(), max, self.terms.age);
    }

    pub(crate) fn read(&self, partition: Partition, after: Position, count: usize) -> Result<Page, Unavailable> {
        Ok(self.state.lock().partitions[partition.index()].read(after, count))
    }

    pub(crate) fn tips(&self, partitions: &[Partition], hooks: &[&str]) -> Result<Vec<Tip>, Unavailable> {
        let state = self.state.lock();
        let version = |hook: &&str, partition: Partition| {
            state.hooks.get(&((*hook).to_owned(), partition)).map(|hook| hook.version)
        };
        let tip = |partition: &Partition| Tip {
            end: state.partitions[partition.index()].end(),
            versions: hooks.iter().map(|hook| version(hook, *partition)).collect(),
        };
        Ok(partitions.iter().map(tip).collect())
    }

    pub(crate) fn deliverers(&self, by: &Incarnation, lease: Duration) -> Result<usize, Unavailable> {
        let now = Instant::now();
        let deliverers = &mut self.state.lock().deliverers;
        deliverers.insert(by.clone(), now + lease);
        deliverers.retain(|_, until| *until > now);
        Ok(deliverers.len())
    }

    pub(crate) fn lease(
        &self,
        partitions: &[Partition],
        by: &Incarnation,
        lease: Duration,
    ) -> Result<Vec<bool>, Unavailable> {
        let (mut state, now) = (self.state.lock(), Instant::now());
        let take = |partition: &Partition| {
            let is_free = state.leases.get(partition).is_none_or(|(owner, until)| owner == by || *until <= now);
            if is_free {
                state.leases.insert(*partition, (by.clone(), now + lease));
            }
            is_free
        };
        Ok(partitions.iter().map(take).collect())
    }

    pub(crate) fn leave(&self, partitions: &[Partition], by: &Incarnation) -> Result<(), Unavailable> {
        let state = &mut *self.state.lock();
        state.leases.retain(|partition, (owner, _)| owner != by || !partitions.contains(partition));
        if partitions.len() == usize::from(PARTITIONS) {
            state.deliverers.remove(by);
        }
        Ok(())
    }

    pub(crate) fn begin(&self, hook: &str, begin: Begin) -> Result<(), Unavailable> {
        let state = &mut *self.state.lock();
        for partition in Partition::all() {
            let cursor = match begin {
                Begin::AtEnd => state.partitions[partition.index()].end(),
                Begin::AtOldest => Position::default(),
            };
            state.hooks.entry((hook.to_owned(), partition)).or_insert_with(|| Hook { cursor, ..Hook::default() });
        }
        Ok(())
    }

    pub(crate) fn load(&self, hook: &str, partition: Partition) -> Result<HookState, Unavailable> {
        let mut state = self.state.lock();
        let Hook { cursor, version, parked, .. } = state.hooks.entry((hook.to_owned(), partition)).or_default();
        Ok(HookState { cursor: *cursor, version: *version, parked: parked.clone() })
    }

    pub(crate) fn save(
        &self,
        hook: &str,
        partition: Partition,
        by: &Incarnation,
        version: u64,
        progress: &Progress,
    ) -> Result<Saved, Unavailable> {
        let state = &mut *self.state.lock();
        let now = Instant::now();
        if state.leases.get(&partition).is_none_or(|(owner, until)| owner != by || *until <= now) {
            return Ok(Saved::Lost);
        }
        match state.hooks.get_mut(&(hook.to_owned(), partition)) {
            Some(hook) if hook.version == version => Ok(Saved::Saved(hook.save(progress))),
            _ => Ok(Saved::Changed),
        }
    }

    pub(crate) fn status(&self, hook: &str) -> Result<HookStatus, Unavailable> {
        let state = self.state.lock();
        let mut status = HookStatus::default();
        for partition in Partition::all() {
            let Some(of_it) = state.hooks.get(&(hook.to_owned(), partition)) else { continue };
            status.waiting += state.partitions[partition.index()].end().number.saturating_sub(of_it.cursor.number);
            status.parked += of_it.parked.len() as u64;
            status.dead += of_it.dead.len() as u64;
            status.dropped += of_it.dropped;
            status.fails(of_it.paused_until, &of_it.error);
        }
        Ok(status)
    }

    pub(crate) fn dead(&self, hook: &str) -> Result<Vec<Dead>, Unavailable> {
        let state = self.state.lock();
        let of_one = |partition| state.hooks.get(&(hook.to_owned(), partition));
        Ok(Partition::all().filter_map(of_one).flat_map(|hook| hook.dead.iter().cloned()).collect())
    }

    pub(crate) fn retry(&self, hook: &str, ids: Option<&[FactId]>, term: Duration) -> Result<usize, Unavailable> {
        let state = &mut *self.state.lock();
        let until = now_micros() / 1_000 + u64::try_from(term.as_millis()).unwrap_or(0);
        let mut count = 0;
        for partition in Partition::all() {
            let Some(hook) = state.hooks.get_mut(&(hook.to_owned(), partition)) else { continue };
            let is_wanted = |dead: &Dead| ids.is_none_or(|ids| ids.contains(&dead.fact.id));
            let (wanted, rest): (Vec<_>, _) = hook.dead.drain(..).partition(is_wanted);
            hook.dead = rest.into();
            hook.version += u64::from(!wanted.is_empty());
            count += wanted.len();
            hook.park(wanted.into_iter().map(|dead| Parked { fact: dead.fact, until }));
        }
        Ok(count)
    }
}

impl Hook {
    fn save(&mut self, progress: &Progress) -> u64 {
        let Progress { cursor, dropped, parked, unparked, dead, paused_until, error } = progress;
        self.version += 1;
        self.cursor = *cursor;
        self.dropped += dropped;
        self.parked.retain(|parked| !unparked.contains(&parked.fact.id));
        self.park(parked.iter().cloned());
        self.dead.extend(dead.iter().cloned());
        while self.dead.len() > DEAD_MAX {
            self.dead.pop_front();
            self.dropped += 1;
        }
        (self.paused_until, self.error) = (*paused_until, error.clone());
        self.version
    }

    fn park(&mut self, parked: impl Iterator<Item = Parked>) {
        self.parked.extend(parked);
        self.parked.sort_by_key(|parked| parked.fact.id.number);
        self.parked.dedup_by_key(|parked| parked.fact.id);
    }
}
