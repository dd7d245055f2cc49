//! The channels that a node wants, and the server on which each is to be subscribed. Without I/O.
//!
//! A [`Place`] is a server's listener. The listeners take the channels to subscribe or to unsubscribe, and report what the
//! servers confirm. Guarantees: once nothing changes any more and the servers answer, every wanted channel is confirmed at
//! the place of its partition; a partition with a confirmed channel that was unsubscribed for a moment, for whatever
//! reason, is in a set of [`Book::take_gap`] after all its channels are confirmed again.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use tokio::sync::{Notify, oneshot};

use crate::{
    bus::Channel,
    partition::{PARTITIONS, Partition, PartitionSet},
};

/// Number of a listener, never used again.
pub(super) type Place = u32;

/// See the module.
pub(super) struct Book {
    /// By channel name in Redis.
    wanted: HashMap<Arc<str>, Wanted>,
    /// The place of each partition.
    of: [Place; PARTITIONS as usize],
    places: HashMap<Place, Listening>,
    /// Number of [`State::Interrupted`] channels in each partition.
    interrupted: [usize; PARTITIONS as usize],
    /// Partitions that may have missed messages, and were in no gap since.
    owed: PartitionSet,
    /// Callers that wait for channels.
    waiting: HashMap<u64, Waiting>,
    last_waiting: u64,
}

struct Wanted {
    channel: Channel,
    partition: Partition,
    state: State,
    /// Keys of [`Book::waiting`].
    waiting: Vec<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Never confirmed since it is wanted.
    New,
    Confirmed,
    /// Was confirmed before, and is to be confirmed again.
    Interrupted,
}

struct Listening {
    /// Told of changes.
    wake: Arc<Notify>,
    /// Has a connection.
    is_connected: bool,
    /// Channels that it may have to subscribe or to unsubscribe.
    changed: HashSet<Arc<str>>,
}

struct Waiting {
    /// Channels that are neither confirmed nor out of reach yet.
    left: usize,
    reach: Reach,
    /// A channel is confirmed.
    any: bool,
    done: oneshot::Sender<()>,
}

/// The channels that a caller waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    All,
    /// Those on servers that can be reached, at least one. A gap follows once the others are confirmed.
    Reachable,
}

impl Book {
    /// Without listeners.
    pub(super) fn new() -> Self {
        Self {
            wanted: HashMap::new(),
            of: [Place::MAX; PARTITIONS as usize],
            places: HashMap::new(),
            interrupted: [0; PARTITIONS as usize],
            owed: PartitionSet::default(),
            waiting: HashMap::new(),
            last_waiting: 0,
        }
    }

    /// A listener that is to be woken by `wake` begins, without a connection.
    pub(super) fn add(&mut self, place: Place, wake: Arc<Notify>) {
        self.places.insert(place, Listening { wake, is_connected: false, changed: HashSet::new() });
    }

    /// A listener has ended.
    pub(super) fn remove(&mut self, place: Place) {
        self.lost(place);
        self.places.remove(&place);
    }

    /// The place of each partition from now on.
    pub(super) fn route(&mut self, of: [Place; PARTITIONS as usize]) {
        let before = std::mem::replace(&mut self.of, of);
        let moved: PartitionSet =
            Partition::all().filter(|partition| before[partition.index()] != of[partition.index()]).collect();
        if moved.is_empty() {
            return;
        }
        for (name, wanted) in &mut self.wanted {
            if moved.contains(wanted.partition) {
                interrupt(wanted, &mut self.interrupted, &mut self.owed);
                let index = wanted.partition.index();
                for place in [before[index], of[index]] {
                    change(&mut self.places, place, name);
                }
            }
        }
        // Partitions without wanted channels may be owed, too.
        self.places.values().for_each(|listening| listening.wake.notify_one());
    }

    /// The partitions at this place.
    pub(super) fn partitions(&self, place: Place) -> PartitionSet {
        Partition::all().filter(|partition| self.of[partition.index()] == place).collect()
    }

    /// Wants these channels. `done` is told once those in `reach` are confirmed, and dropped if a server of them cannot be
    /// reached. The channels stay wanted.
    pub(super) fn want(
        &mut self,
        channels: impl Iterator<Item = (Partition, String, Channel)>,
        reach: Reach,
        done: oneshot::Sender<()>,
    ) {
        self.last_waiting += 1;
        let (key, mut left, mut any) = (self.last_waiting, 0, false);
        for (partition, name, channel) in channels {
            let wanted = match self.wanted.get_mut(name.as_str()) {
                Some(wanted) => wanted,
                None => {
                    let name: Arc<str> = name.into();
                    change(&mut self.places, self.of[partition.index()], &name);
                    let wanted = Wanted { channel, partition, state: State::New, waiting: Vec::new() };
                    self.wanted.entry(name).or_insert(wanted)
                }
            };
            if wanted.state == State::Confirmed {
                any = true;
            } else if wanted.waiting.last() != Some(&key) {
                wanted.waiting.push(key);
                left += 1;
            }
        }
        if left > 0 {
            self.waiting.insert(key, Waiting { left, reach, any, done });
        } else {
            // The caller may have timed out.
            let _ = done.send(());
        }
    }

    /// Does not want these channels any more.
    pub(super) fn unwant<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        for name in names {
            let Some((name, wanted)) = self.wanted.remove_entry(name) else { continue };
            let index = wanted.partition.index();
            self.interrupted[index] -= usize::from(wanted.state == State::Interrupted);
            change(&mut self.places, self.of[index], &name);
            // The caller's last request counts.
            self.answer(wanted.waiting);
        }
    }

    /// The partition and the purpose of this channel, if the node wants it and its partition is at this place.
    pub(super) fn wanted_at(&self, place: Place, name: &str) -> Option<(Partition, &Channel)> {
        let wanted = self.wanted.get(name).filter(|wanted| self.of[wanted.partition.index()] == place)?;
        Some((wanted.partition, &wanted.channel))
    }

    /// The listener has a connection, without subscriptions.
    pub(super) fn connected(&mut self, place: Place) {
        let Some(listening) = self.places.get_mut(&place) else { return };
        listening.is_connected = true;
        let here = self.wanted.iter().filter(|(_, wanted)| self.of[wanted.partition.index()] == place);
        listening.changed = here.map(|(name, _)| Arc::clone(name)).collect();
    }

    /// The listener has no connection any more, or got none.
    pub(super) fn lost(&mut self, place: Place) {
        let Some(listening) = self.places.get_mut(&place) else { return };
        listening.is_connected = false;
        listening.changed = HashSet::new();
        for wanted in self.wanted.values_mut().filter(|wanted| self.of[wanted.partition.index()] == place) {
            for key in wanted.waiting.drain(..) {
                let Entry::Occupied(mut waiting) = self.waiting.entry(key) else { continue };
                if waiting.get().reach == Reach::Reachable {
                    // The caller relies on the channel from now on.
                    wanted.state = if wanted.state == State::New { State::Confirmed } else { wanted.state };
                    waiting.get_mut().left -= 1;
                    if waiting.get().left > 0 {
                        continue;
                    }
                }
                let waiting = waiting.remove();
                if waiting.left == 0 && waiting.any {
                    let _ = waiting.done.send(());
                }
            }
            interrupt(wanted, &mut self.interrupted, &mut self.owed);
        }
    }

    /// The channels that the listener may have to subscribe or to unsubscribe.
    pub(super) fn take_changed(&mut self, place: Place) -> HashSet<Arc<str>> {
        self.places.get_mut(&place).map(|listening| std::mem::take(&mut listening.changed)).unwrap_or_default()
    }

    /// The listener has to look at this channel, again.
    pub(super) fn look_at(&mut self, place: Place, name: &Arc<str>) {
        change(&mut self.places, place, name);
    }

    /// The server has subscribed this connection to the channel.
    pub(super) fn confirmed(&mut self, place: Place, name: &Arc<str>) {
        match self.wanted.get_mut(name).filter(|wanted| self.of[wanted.partition.index()] == place) {
            None => change(&mut self.places, place, name),
            Some(wanted) => {
                self.interrupted[wanted.partition.index()] -= usize::from(wanted.state == State::Interrupted);
                wanted.state = State::Confirmed;
                let waiting = std::mem::take(&mut wanted.waiting);
                self.answer(waiting);
            }
        }
    }

    /// The server has unsubscribed this connection from the channel, unasked.
    pub(super) fn unsubscribed(&mut self, place: Place, name: &str) {
        if let Some(wanted) = self.wanted.get_mut(name).filter(|wanted| self.of[wanted.partition.index()] == place) {
            interrupt(wanted, &mut self.interrupted, &mut self.owed);
        }
    }

    /// These partitions may have missed messages, or their gap could not be sent.
    pub(super) fn owe(&mut self, partitions: PartitionSet) {
        self.owed = self.owed.union(partitions);
    }

    /// The partitions of this place that may have missed messages, and whose channels are all confirmed now. None as long
    /// as a channel of the place is not confirmed again, unless `is_late`.
    pub(super) fn take_gap(&mut self, place: Place, is_late: bool) -> PartitionSet {
        let here = self.partitions(place);
        let whole = |partition: &Partition| self.interrupted[partition.index()] == 0;
        if !is_late && !here.iter().all(|partition| whole(&partition)) {
            return PartitionSet::default();
        }
        let due = here.intersection(self.owed).iter().filter(whole).collect();
        self.owed = self.owed.without(due);
        due
    }

    /// The partitions of this place that may have missed messages, and were in no gap since.
    pub(super) fn owed(&self, place: Place) -> PartitionSet {
        self.partitions(place).intersection(self.owed)
    }

    fn answer(&mut self, keys: Vec<u64>) {
        for key in keys {
            let Entry::Occupied(mut waiting) = self.waiting.entry(key) else { continue };
            waiting.get_mut().any = true;
            waiting.get_mut().left -= 1;
            if waiting.get().left == 0 {
                let _ = waiting.remove().done.send(());
            }
        }
    }
}

/// Notes that the channel is not subscribed.
fn interrupt(wanted: &mut Wanted, interrupted: &mut [usize], owed: &mut PartitionSet) {
    if wanted.state == State::Confirmed {
        wanted.state = State::Interrupted;
        interrupted[wanted.partition.index()] += 1;
        owed.insert(wanted.partition);
    }
}

/// Lets the listener look at the channel; without a connection it looks at all channels later.
fn change(places: &mut HashMap<Place, Listening>, place: Place, name: &Arc<str>) {
    if let Some(listening) = places.get_mut(&place).filter(|listening| listening.is_connected) {
        listening.changed.insert(Arc::clone(name));
        listening.wake.notify_one();
    }
}
