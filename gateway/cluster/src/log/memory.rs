//! [`crate::log`] for several nodes of one process. Gives [`Durability::Memory`] only: there is no replica and no disk, so
//! an append that needs one is [`Unavailable`], and stores nothing.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::partition::Partition;
use crate::{
    Unavailable,
    bus::Channel,
    bus::memory::MemoryNetwork,
    facts::{FactTerms, Kind, memory::MemoryFacts},
    log::{Appended, Durability, KEPT, KEPT_FOR, PAGE_BYTES, Page, Position, Range, SAME_KEY_FOR, Shortfall, Stored},
    now_micros,
    room_name::RoomName,
    wire::BusMessage,
};

/// All rooms' logs.
#[derive(Clone)]
pub struct MemoryLog {
    network: MemoryNetwork,
    facts: MemoryFacts,
    pub(crate) empty: Position,
    rooms: Arc<Mutex<HashMap<RoomName, RoomLog>>>,
}

struct RoomLog {
    end: Position,
    /// The last number before the epoch.
    base: u64,
    messages: VecDeque<(Instant, Stored)>,
    /// Oldest first.
    keys: VecDeque<(Instant, Box<str>)>,
    by_key: HashMap<Box<str>, Position>,
}

impl RoomLog {
    fn new(epoch: u64) -> Self {
        Self {
            end: Position { epoch, number: 0 },
            base: 0,
            messages: VecDeque::new(),
            keys: VecDeque::new(),
            by_key: HashMap::new(),
        }
    }

    /// Begins a new epoch if the log ends before this position, so that no node sees positions go back.
    fn begin_after(&mut self, seen: Option<Position>) {
        if let Some(seen) = seen.filter(|seen| self.end < *seen) {
            self.base = self.end.number;
            self.end.epoch = now_micros().max(seen.epoch + 1);
        }
    }

    fn forget_old(&mut self, now: Instant) {
        while self.messages.front().is_some_and(|(at, _)| now.duration_since(*at) > KEPT_FOR)
            || self.messages.len() > KEPT
        {
            self.messages.pop_front();
        }
        while let Some((at, _)) = self.keys.front()
            && now.duration_since(*at) > SAME_KEY_FOR
        {
            if let Some((_, key)) = self.keys.pop_front() {
                self.by_key.remove(&key);
            }
        }
    }
}

impl MemoryLog {
    pub(crate) fn new(network: MemoryNetwork, facts: MemoryFacts) -> Self {
        Self { network, facts, empty: Position { epoch: now_micros(), number: 0 }, rooms: Arc::default() }
    }

    pub(crate) fn without_facts(self) -> Self {
        Self { facts: MemoryFacts::new(FactTerms::OFF), ..self }
    }

    pub(crate) fn append(
        &self,
        room: &RoomName,
        body: &str,
        key: Option<&str>,
        seen: Option<Position>,
        durable: Durability,
    ) -> Result<Appended, Unavailable> {
        gives(durable)?;
        let now = Instant::now();
        let mut rooms = self.rooms.lock();
        // A later epoch than that of `empty`, the room's position until now.
        let log = rooms.entry(room.clone()).or_insert_with(|| RoomLog::new(now_micros().max(self.empty.epoch + 1)));
        log.begin_after(seen);
        log.forget_old(now);
        if let Some(position) = key.and_then(|key| log.by_key.get(key)) {
            return Ok(Appended { position: *position, new: false, durable });
        }
        log.end.number += 1;
        let position = log.end;
        if let Some(key) = key {
            log.by_key.insert(key.into(), position);
            log.keys.push_back((now, key.into()));
        }
        let stored = Stored { position, body: body.into() };
        let message = BusMessage::Message { position, body: Arc::clone(&stored.body) };
        log.messages.push_back((now, stored));
        log.forget_old(now);
        self.network.publish(&Channel::Room(room.clone()), &message.encode());
        self.facts.record_json(Kind::MessageStored, Partition::of_room(room), || {
            let namespace = serde_json::Value::from(&*room.namespace);
            format!("{{\"namespace\":{namespace},\"messageId\":\"{position}\",{body}")
        });
        Ok(Appended { position, new: true, durable })
    }

    /// Those of these durabilities that a cluster in memory does not give.
    pub(crate) fn shortfalls(durabilities: &[Durability]) -> Vec<Shortfall> {
        let missing = durabilities.iter().filter(|durable| gives(**durable).is_err());
        let reason = "the cluster is in memory: set `redis.url`";
        missing.map(|durable| Shortfall { durable: *durable, server: String::new(), reason: reason.into() }).collect()
    }

    pub(crate) fn find(
        &self,
        room: &RoomName,
        key: &str,
        durable: Durability,
    ) -> Result<Option<Position>, Unavailable> {
        gives(durable)?;
        let mut rooms = self.rooms.lock();
        let Some(log) = rooms.get_mut(room) else { return Ok(None) };
        log.forget_old(Instant::now());
        Ok(log.by_key.get(key).copied())
    }

    pub(crate) fn read(
        &self,
        room: &RoomName,
        range: Range,
        count: usize,
        seen: Option<Position>,
    ) -> Result<Page, Unavailable> {
        let mut rooms = self.rooms.lock();
        let now = Instant::now();
        let Some(log) = rooms.get_mut(room) else {
            let (end, messages) = (self.empty, Vec::new());
            return Ok(Page { end, base: 0, earlier: Vec::new(), messages, empty: self.empty, kept_for: KEPT_FOR });
        };
        log.begin_after(seen);
        log.forget_old(now);
        let age = log.messages.front().map_or(Duration::ZERO, |(at, _)| now.duration_since(*at));
        let messages = log.messages.iter().map(|(_, stored)| stored);
        let last = |messages: &mut dyn DoubleEndedIterator<Item = &Stored>| {
            let mut newest: Vec<_> = messages.rev().take(count).cloned().collect();
            newest.reverse();
            newest
        };
        let messages = match range {
            Range::After(number) => {
                let mut bytes = 0;
                let fits = |stored: &&Stored| {
                    let is_first = bytes == 0;
                    bytes += stored.body.len().max(1);
                    is_first || bytes <= PAGE_BYTES
                };
                messages
                    .filter(|stored| stored.position.number > number)
                    .take(count)
                    .take_while(fits)
                    .cloned()
                    .collect()
            }
            Range::Before(number) => last(&mut messages.filter(|stored| stored.position.number < number)),
            Range::Newest => last(&mut messages.into_iter()),
        };
        let (end, base, kept_for) = (log.end, log.base, KEPT_FOR.saturating_sub(age));
        Ok(Page { end, base, earlier: Vec::new(), messages, empty: self.empty, kept_for })
    }
}

fn gives(durable: Durability) -> Result<(), Unavailable> {
    match durable {
        Durability::Memory => Ok(()),
        Durability::Replica | Durability::Disk => Err(Unavailable),
    }
}
