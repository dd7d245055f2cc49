//! The events of a node's bus, as it received them.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use jackfield_cluster::{
    bus::{BusEvent, BusEvents, Channel},
    partition::{Partition, PartitionSet},
    room_name::RoomName,
};
use parking_lot::Mutex;

/// A message that a server accepted.
#[derive(Debug, Clone, Copy)]
pub struct Published {
    /// Just before it was sent.
    pub at: Instant,
    pub number: u64,
    /// Index of its room.
    pub room: usize,
}

/// See the module. Clones are the same.
#[derive(Clone)]
pub struct Heard {
    rooms: Arc<[RoomName]>,
    events: Arc<Mutex<Events>>,
}

#[derive(Default)]
struct Events {
    /// By room: the numbers of its messages.
    messages: HashMap<RoomName, HashSet<u64>>,
    gaps: Vec<(Instant, PartitionSet)>,
    /// Messages that arrived a second time.
    doubled: usize,
}

impl Heard {
    pub fn new(rooms: Arc<[RoomName]>) -> Self {
        Self { rooms, events: Arc::default() }
    }

    /// Receives all events, until the node ends.
    pub async fn receive(self, mut events: BusEvents) {
        while let Some(event) = events.recv().await {
            let mut heard = self.events.lock();
            match event {
                BusEvent::Message(Channel::Room(room), payload) => {
                    let number = std::str::from_utf8(&payload).unwrap().parse().unwrap();
                    let is_new = heard.messages.entry(room).or_default().insert(number);
                    heard.doubled += usize::from(!is_new);
                }
                BusEvent::Message(channel, _) => panic!("nothing is published on {channel:?}"),
                BusEvent::Gap(partitions) => heard.gaps.push((Instant::now(), partitions)),
            }
        }
    }

    /// Indices of the rooms that have no message with this number or a higher one.
    pub fn rooms_without(&self, number: u64) -> Vec<usize> {
        let events = self.events.lock();
        let is_heard = |room| events.messages.get(room).is_some_and(|heard| heard.iter().any(|one| *one >= number));
        (0..self.rooms.len()).filter(|room| !is_heard(&self.rooms[*room])).collect()
    }

    pub fn doubled(&self) -> usize {
        self.events.lock().doubled
    }

    /// The partitions of all gaps since the last call.
    pub fn take_gaps(&self) -> PartitionSet {
        let gaps = std::mem::take(&mut self.events.lock().gaps);
        gaps.into_iter().fold(PartitionSet::default(), |all, (_, some)| all.union(some))
    }

    /// Of these messages: the number of those that did not arrive, and those of them after which their partition had no
    /// gap. One that was sent before a gap arrived may be what the gap is about.
    pub fn missing(&self, published: &[Published]) -> (usize, Vec<Published>) {
        let events = self.events.lock();
        let is_missing = |one: &&Published| {
            let numbers = events.messages.get(&self.rooms[one.room]);
            numbers.is_none_or(|numbers| !numbers.contains(&one.number))
        };
        let has_gap = |one: &Published| {
            let partition = Partition::of_room(&self.rooms[one.room]);
            events.gaps.iter().any(|(at, partitions)| *at >= one.at && partitions.contains(partition))
        };
        let missing: Vec<_> = published.iter().filter(is_missing).copied().collect();
        (missing.len(), missing.into_iter().filter(|one| !has_gap(one)).collect())
    }
}
