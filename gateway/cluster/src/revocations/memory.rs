//! [`crate::revocations`] for several nodes of one process.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::{
    Unavailable,
    bus::{Channel, memory::MemoryNetwork},
    log::Position,
    now_micros,
    revocations::{BATCH, Entry, MAX, Page, RecordError},
    wire::BusMessage,
};

/// The list.
#[derive(Clone)]
pub struct MemoryRevocations {
    network: MemoryNetwork,
    list: Arc<Mutex<List>>,
}

struct List {
    epoch: u64,
    /// The last number.
    number: u64,
    by_number: BTreeMap<u64, Entry>,
    by_subject: HashMap<String, u64>,
}

impl MemoryRevocations {
    pub(crate) fn new(network: MemoryNetwork) -> Self {
        let list = List { epoch: now_micros(), number: 0, by_number: BTreeMap::new(), by_subject: HashMap::new() };
        Self { network, list: Arc::new(Mutex::new(list)) }
    }

    pub(crate) fn record(&self, entries: &[Entry], is_restored: bool) -> Result<(), RecordError> {
        let mut list = self.list.lock();
        list.forget(now_micros() / 1_000_000);
        let has = |list: &List, entry: &Entry| list.by_subject.contains_key(&entry.subject());
        let entries: Vec<_> = entries.iter().filter(|entry| !is_restored || !has(&list, entry)).cloned().collect();
        if list.by_subject.len() + entries.len() > MAX {
            return Err(RecordError::Full);
        }
        entries.iter().for_each(|entry| list.put(entry));
        if !entries.is_empty() {
            let message = BusMessage::Revoked { last: Position { epoch: list.epoch, number: list.number }, entries };
            self.network.publish(&Channel::Revocations, &message.encode());
        }
        Ok(())
    }

    pub(crate) fn read(&self, after: Option<Position>) -> Result<Page, Unavailable> {
        let list = self.list.lock();
        let after = after.filter(|after| after.epoch == list.epoch).map_or(0, |after| after.number);
        let entries: Vec<_> =
            list.by_number.range(after + 1..).take(BATCH).map(|(number, entry)| (*number, entry.clone())).collect();
        let is_last = entries.len() < BATCH;
        let number = if is_last { list.number } else { entries.last().map_or(list.number, |(number, _)| *number) };
        Ok(Page { entries, position: Position { epoch: list.epoch, number }, is_last })
    }
}

impl List {
    fn put(&mut self, entry: &Entry) {
        self.number += 1;
        if let Some(before) = self.by_subject.insert(entry.subject(), self.number) {
            self.by_number.remove(&before);
        }
        self.by_number.insert(self.number, entry.clone());
    }

    /// Drops the entries that are over at this Unix second.
    fn forget(&mut self, now: u64) {
        for (_, entry) in self.by_number.extract_if(.., |_, entry| entry.until <= now) {
            self.by_subject.remove(&entry.subject());
        }
    }
}
