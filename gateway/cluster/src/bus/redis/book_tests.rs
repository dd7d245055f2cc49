//! Random requests, moves and losses, with servers that answer later: nothing is lost without a gap.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    sync::Arc,
};

use proptest::prelude::*;
use tokio::sync::{Notify, oneshot};

use super::{
    book::{Book, Place, Reach},
    ledger::{Ledger, Step, Subject, Unsubscribed},
};
use crate::{
    bus::Channel,
    partition::{PARTITIONS, Partition},
};

const SERVERS: Place = 3;
const USED: u8 = 4;
const CHANNELS: u8 = 8;

#[derive(Debug, Clone, Copy)]
enum Do {
    Want(u8),
    /// Wants this one and the next, as far as they can be reached.
    WantReachable(u8),
    Unwant(u8),
    /// The listener sends requests.
    Request(Place),
    /// The server handles a request.
    Serve(Place),
    /// The listener handles what arrived.
    Hear(Place),
    Tick(Place),
    /// A partition moves to this server.
    Move(u8, Place),
    /// The node learns where all partitions are, or is told something wrong.
    Route(Option<Place>),
    /// The connection is lost.
    Lose(Place),
    Connect(Place),
}

/// A request for channels of one partition.
type Request = (bool, Partition, Vec<Arc<str>>);

enum Answer {
    Subscribed(Arc<str>),
    Unsubscribed(Arc<str>),
    Moved(Partition),
}

/// One server and its listener.
#[derive(Default)]
struct Line {
    ledger: Ledger,
    again: Vec<Arc<str>>,
    is_connected: bool,
    requests: VecDeque<Request>,
    answers: VecDeque<Answer>,
    /// The channels that the server has for this connection.
    subscribed: HashSet<Arc<str>>,
}

struct World {
    book: Book,
    lines: Vec<Line>,
    /// The server of each partition.
    truth: [Place; PARTITIONS as usize],
    wanted: BTreeSet<u8>,
    /// Channels whose subscription the node was promised, while they are wanted.
    promised: BTreeSet<u8>,
    waiting: Vec<(Vec<u8>, oneshot::Receiver<()>)>,
    /// Promised channels that missed messages, and had no gap since.
    missed: BTreeSet<u8>,
}

fn partition(channel: u8) -> Partition {
    Partition::new(channel % USED).unwrap()
}

fn name(channel: u8) -> Arc<str> {
    format!("c{channel}").into()
}

impl World {
    fn new() -> Self {
        let mut book = Book::new();
        (0..SERVERS).for_each(|place| book.add(place, Arc::new(Notify::new())));
        book.route([0; PARTITIONS as usize]);
        Self {
            book,
            lines: (0..SERVERS).map(|_| Line::default()).collect(),
            truth: [0; PARTITIONS as usize],
            wanted: BTreeSet::new(),
            promised: BTreeSet::new(),
            waiting: Vec::new(),
            missed: BTreeSet::new(),
        }
    }

    fn line(&mut self, place: Place) -> &mut Line {
        &mut self.lines[place as usize]
    }

    fn step(&mut self, step: Do) {
        match step {
            Do::Want(channel) => self.want(vec![channel], Reach::All),
            Do::WantReachable(channel) => self.want(vec![channel, (channel + 1) % CHANNELS], Reach::Reachable),
            Do::Unwant(channel) => {
                self.book.unwant([&*name(channel)].into_iter());
                self.wanted.remove(&channel);
                self.promised.remove(&channel);
                self.missed.remove(&channel);
                self.waiting.iter_mut().for_each(|(waiting, _)| waiting.retain(|waiting| *waiting != channel));
            }
            Do::Request(place) => self.request(place),
            Do::Serve(place) => self.serve(place),
            Do::Hear(place) => self.hear(place),
            Do::Tick(place) => {
                let again = std::mem::take(&mut self.line(place).again);
                again.iter().for_each(|name| self.book.look_at(place, name));
                self.take_gap(place, true);
            }
            Do::Move(number, to) => {
                let moved = Partition::new(number % USED).unwrap();
                let from = std::mem::replace(&mut self.truth[moved.index()], to);
                if from != to {
                    let names = (0..CHANNELS).filter(|channel| partition(*channel) == moved).map(name);
                    let line = self.line(from);
                    let gone: Vec<_> = names.filter(|name| line.subscribed.remove(name)).collect();
                    line.answers.extend(gone.into_iter().map(Answer::Unsubscribed));
                }
            }
            Do::Route(None) => self.book.route(self.truth),
            Do::Route(Some(place)) => self.book.route([place; PARTITIONS as usize]),
            Do::Lose(place) => {
                *self.line(place) = Line::default();
                self.book.lost(place);
            }
            Do::Connect(place) => {
                if !self.line(place).is_connected {
                    self.line(place).is_connected = true;
                    self.book.connected(place);
                }
            }
        }
        self.waiting.retain_mut(|(channels, waiting)| match waiting.try_recv() {
            Ok(()) => {
                self.promised.extend(&*channels);
                false
            }
            Err(error) => error == oneshot::error::TryRecvError::Empty,
        });
        for channel in &self.promised {
            let at = self.truth[partition(*channel).index()];
            if !self.lines[at as usize].subscribed.contains(&name(*channel)) {
                self.missed.insert(*channel);
            }
        }
    }

    fn want(&mut self, channels: Vec<u8>, reach: Reach) {
        let (done, waiting) = oneshot::channel();
        let named = channels
            .iter()
            .map(|channel| (partition(*channel), name(*channel).to_string(), Channel::Namespace(name(*channel))));
        self.book.want(named, reach, done);
        self.wanted.extend(&channels);
        self.waiting.push((channels, waiting));
    }

    fn take_gap(&mut self, place: Place, is_late: bool) -> bool {
        let gap = self.book.take_gap(place, is_late);
        self.missed.retain(|channel| !gap.contains(partition(*channel)));
        !gap.is_empty()
    }

    fn request(&mut self, place: Place) {
        let line = &mut self.lines[place as usize];
        if !line.is_connected {
            return;
        }
        for name in self.book.take_changed(place) {
            let wanted = self.book.wanted_at(place, &name);
            let wanted = wanted.map(|(partition, channel)| (partition, Subject::Channel(channel.clone())));
            let (subscribe, partition) = match line.ledger.step(&name, wanted) {
                Step::Nothing => continue,
                Step::Confirm => {
                    self.book.confirmed(place, &name);
                    continue;
                }
                Step::Subscribe(partition) => (true, partition),
                Step::Unsubscribe(partition) => (false, partition),
            };
            line.requests.push_back((subscribe, partition, vec![name]));
        }
        self.take_gap(place, false);
    }

    fn serve(&mut self, place: Place) {
        let truth = self.truth;
        let line = self.line(place);
        let Some((subscribe, partition, names)) = line.requests.pop_front() else { return };
        if truth[partition.index()] != place {
            line.answers.push_back(Answer::Moved(partition));
            return;
        }
        for name in names {
            if subscribe {
                line.subscribed.insert(Arc::clone(&name));
                line.answers.push_back(Answer::Subscribed(name));
            } else {
                line.subscribed.remove(&name);
                line.answers.push_back(Answer::Unsubscribed(name));
            }
        }
    }

    fn hear(&mut self, place: Place) {
        let line = &mut self.lines[place as usize];
        match line.answers.pop_front() {
            None => {}
            Some(Answer::Subscribed(name)) => match line.ledger.subscribed(&name) {
                Some((name, _)) => self.book.confirmed(place, &name),
                None => {
                    let partition =
                        (0..CHANNELS).find(|channel| *name == *self::name(*channel)).map(partition).unwrap();
                    line.requests.push_back((false, partition, vec![name]));
                }
            },
            Some(Answer::Unsubscribed(name)) => match line.ledger.unsubscribed(&name) {
                Unsubscribed::Stale => {}
                Unsubscribed::AsAsked => self.book.look_at(place, &name),
                Unsubscribed::Moved => {
                    self.book.unsubscribed(place, &name);
                    line.again.push(name);
                }
            },
            Some(Answer::Moved(partition)) => {
                let refused = line.ledger.refused(Some(partition.slot()));
                line.again.extend(refused);
            }
        }
        self.take_gap(place, false);
    }

    /// Everything is connected and handled; the node knows where the partitions are.
    fn settle(&mut self) {
        (0..SERVERS).for_each(|place| self.step(Do::Connect(place)));
        self.step(Do::Route(None));
        for _ in 0..6 {
            for place in 0..SERVERS {
                self.step(Do::Request(place));
                while !self.line(place).requests.is_empty() {
                    self.step(Do::Serve(place));
                }
                while !self.line(place).answers.is_empty() {
                    self.step(Do::Hear(place));
                }
                self.step(Do::Tick(place));
            }
        }
    }
}

fn step() -> impl Strategy<Value = Do> {
    let place = || 0..SERVERS;
    prop_oneof![
        4 => (0..CHANNELS).prop_map(Do::Want),
        2 => (0..CHANNELS).prop_map(Do::WantReachable),
        2 => (0..CHANNELS).prop_map(Do::Unwant),
        8 => place().prop_map(Do::Request),
        10 => place().prop_map(Do::Serve),
        10 => place().prop_map(Do::Hear),
        3 => place().prop_map(Do::Tick),
        2 => (0..USED, place()).prop_map(|(partition, place)| Do::Move(partition, place)),
        2 => Just(Do::Route(None)),
        1 => place().prop_map(|place| Do::Route(Some(place))),
        1 => place().prop_map(Do::Lose),
        3 => place().prop_map(Do::Connect),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn in_the_end_everything_is_subscribed_and_every_loss_had_a_gap(steps in prop::collection::vec(step(), 0..120)) {
        let mut world = World::new();
        steps.into_iter().for_each(|step| world.step(step));
        world.settle();

        for channel in 0..CHANNELS {
            let at = world.truth[partition(channel).index()];
            for place in 0..SERVERS {
                let expected = place == at && world.wanted.contains(&channel);
                let has = world.line(place).subscribed.contains(&name(channel));
                prop_assert_eq!(has, expected, "channel {} at server {}", channel, place);
            }
            // So the node is told at once.
            if world.wanted.contains(&channel) {
                world.step(Do::Want(channel));
                prop_assert!(world.promised.contains(&channel), "channel {} is not confirmed", channel);
            }
        }
        prop_assert!(world.waiting.is_empty());
        prop_assert!(world.missed.is_empty(), "no gap after a loss in {:?}", world.missed);
        (0..SERVERS).for_each(|place| assert!(!world.take_gap(place, true), "a gap is owed in the end"));
    }

    /// The gap of a lost connection is one, after all its channels are subscribed again.
    #[test]
    fn a_lost_connection_is_one_gap(channels in prop::collection::btree_set(0..CHANNELS, 1..8), served in 0_usize..8) {
        let mut world = World::new();
        channels.iter().for_each(|channel| world.step(Do::Want(*channel)));
        world.settle();
        world.step(Do::Lose(0));
        for step in [Do::Connect(0), Do::Request(0)] {
            world.step(step);
        }
        let served = served.min(channels.len() - 1);
        (0..served).for_each(|_| world.step(Do::Serve(0)));
        (0..served).for_each(|_| world.step(Do::Hear(0)));
        prop_assert!(!world.take_gap(0, false), "before all were subscribed");
        let mut gaps = 0;
        for _ in served..channels.len() {
            world.serve(0);
            let line = &mut world.lines[0];
            let Some(Answer::Subscribed(name)) = line.answers.pop_front() else { panic!("not subscribed") };
            let (name, _) = line.ledger.subscribed(&name).unwrap();
            world.book.confirmed(0, &name);
            gaps += usize::from(world.take_gap(0, false));
        }
        prop_assert_eq!(gaps, 1);
        prop_assert!(world.missed.is_empty());
    }
}

#[test]
fn a_caller_is_refused_when_its_server_cannot_be_reached() {
    let mut world = World::new();
    let (done, mut waiting) = oneshot::channel();
    let named = [0, 1].map(|channel| (partition(channel), name(channel).to_string(), Channel::Presence));
    world.book.want(named.into_iter(), Reach::All, done);
    assert_eq!(waiting.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    world.step(Do::Lose(1));
    assert_eq!(waiting.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    world.step(Do::Lose(0));
    assert_eq!(waiting.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    world.wanted = [0, 1].into();
    world.settle();
    assert!(world.lines[0].subscribed.len() == 2, "they stay wanted");
}

#[test]
fn channels_out_of_reach_follow_with_a_gap() {
    let mut world = World::new();
    world.step(Do::Move(1, 1));
    world.step(Do::Route(None));
    world.want(vec![0, 1], Reach::Reachable);
    world.step(Do::Connect(0));
    for step in [Do::Request(0), Do::Serve(0), Do::Hear(0)] {
        world.step(step);
    }
    assert!(world.promised.is_empty(), "the other server was not tried");
    world.step(Do::Lose(1));
    assert_eq!(world.promised, [0, 1].into());
    assert_eq!(world.missed, [1].into());
    world.settle();
    assert!(world.missed.is_empty());

    let mut world = World::new();
    world.want(vec![0, 1], Reach::Reachable);
    world.step(Do::Lose(0));
    assert!(world.promised.is_empty() && world.waiting.is_empty(), "none can be reached");
}
