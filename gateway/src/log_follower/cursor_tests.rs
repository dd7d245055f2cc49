use std::collections::{BTreeMap, HashSet};

use jackfield_cluster::log::{KEPT_FOR, Stored};
use proptest::prelude::*;

use super::*;

/// How many earlier epochs a log knows.
const EPOCHS_KNOWN: usize = 3;

/// The true log, as the model of the scripts that number messages; the simulated bus loses, duplicates, delays and reorders
/// messages, and servers fail over to others that lack the newest.
struct World {
    /// Later than every epoch.
    clock: u64,
    /// Epoch of logs without messages, since the back end last lost all data.
    empty: u64,
    term: u64,
    head: Option<Head>,
    /// The head before each message that is not lost.
    heads: Vec<Option<Head>>,
    /// Messages that are not lost, by their numbers: no two messages are the same.
    messages: BTreeMap<u64, u64>,
    /// Those up to this number are not kept.
    trimmed: u64,
    /// Whether the log changes while it is read.
    is_busy: bool,
}

#[derive(Clone, Default)]
struct Head {
    epoch: u64,
    earlier: Vec<Position>,
    base: u64,
    last: u64,
    term: u64,
}

impl World {
    fn new(is_busy: bool) -> Self {
        Self {
            clock: 1,
            empty: 1,
            term: 1,
            head: None,
            heads: Vec::new(),
            messages: BTreeMap::new(),
            trimmed: 0,
            is_busy,
        }
    }

    fn end(&self) -> Position {
        let of_head = |head: &Head| Position { epoch: head.epoch, number: head.last };
        self.head.as_ref().map_or(Position { epoch: self.empty, number: 0 }, of_head)
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// As `end_of_log` does.
    fn notice(&mut self, seen: Position) {
        let (end, now, term) = (self.end(), self.tick(), self.term);
        let Some(head) = &mut self.head else { return };
        let oldest = head.earlier.first().map_or(head.epoch, |end| end.epoch);
        let is_lost = match head.earlier.iter().chain([&end]).find(|end| end.epoch == seen.epoch) {
            Some(end) => seen.number > end.number,
            None => seen.epoch > oldest,
        };
        if is_lost {
            *head = Head { epoch: now, earlier: Vec::new(), base: head.last, last: head.last, term };
        } else if head.term != term {
            head.earlier.push(end);
            if head.earlier.len() > EPOCHS_KNOWN {
                head.base = head.earlier.remove(0).number;
            }
            (head.epoch, head.term) = (now, term);
        }
    }

    /// Returns the position, and the message.
    fn append(&mut self) -> (Position, u64) {
        self.heads.push(self.head.clone());
        self.notice(Position::default());
        let (message, term) = (self.tick(), self.term);
        let head = self.head.get_or_insert_with(|| Head { epoch: message, term, ..Head::default() });
        head.last += 1;
        self.messages.insert(head.last, message);
        (self.end(), message)
    }

    fn fail_over(&mut self, lost: usize) {
        for _ in 0..lost.min(self.heads.len()) {
            self.head = self.heads.pop().flatten();
            self.messages.pop_last();
        }
        self.term += 1;
    }

    fn lose_all(&mut self) {
        self.fail_over(usize::MAX);
        (self.empty, self.trimmed) = (self.tick(), 0);
    }

    fn trim(&mut self, count: usize) {
        let kept: Vec<_> = self.kept(0).map(|(number, _)| number).take(count).collect();
        self.trimmed = kept.last().copied().unwrap_or(self.trimmed);
    }

    fn kept(&self, after: u64) -> impl Iterator<Item = (u64, u64)> {
        self.messages.range(after.max(self.trimmed) + 1..).map(|(number, message)| (*number, *message))
    }

    fn read(&mut self, seen: Position, count: usize) -> Page<u64> {
        self.notice(seen);
        // Only the number matters.
        let stored = |(number, body)| Stored { position: Position { epoch: 0, number }, body };
        Page {
            end: self.end(),
            base: self.head.as_ref().map_or(0, |head| head.base),
            earlier: self.head.as_ref().map(|head| head.earlier.clone()).unwrap_or_default(),
            empty: Position { epoch: self.empty, number: 0 },
            messages: self.kept(seen.number).take(count).map(stored).collect(),
            kept_for: KEPT_FOR,
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Append,
    /// A message on the bus arrives: the oldest, or another one.
    Receive(usize),
    ReceiveTwice(usize),
    Lose(usize),
    Reconnect(usize),
    Trim(usize),
    LoseAll,
    /// Another server takes over, which lacks this many messages. All connections are lost, so no message arrives before a
    /// reconnect, but others may append.
    FailOver(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Append),
        8 => (0_usize..3).prop_map(Step::Receive),
        1 => (0_usize..3).prop_map(Step::ReceiveTwice),
        2 => (0_usize..3).prop_map(Step::Lose),
        2 => (1_usize..5).prop_map(Step::Reconnect),
        1 => (0_usize..20).prop_map(Step::Trim),
        1 => Just(Step::LoseAll),
        2 => (0_usize..4).prop_map(Step::FailOver),
    ]
}

/// Number of messages that are appended, and trimmed, between two reads of a busy log.
const CHURN: usize = 2;

/// A member of the room.
struct Member {
    since: Position,
    /// The messages since its join or last reset, with their numbers.
    got: Vec<(u64, u64)>,
    /// All messages that were ever delivered.
    ever: HashSet<u64>,
}

impl Member {
    /// Joins, or is reset.
    fn begin(&mut self, since: Position) {
        self.since = since;
        self.got.clear();
    }

    fn get(&mut self, number: u64, message: u64) {
        self.got.push((number, message));
        assert!(self.ever.insert(message), "delivered twice");
    }
}

fn repair(world: &mut World, cursor: &mut Cursor, member: &mut Member, count: usize) {
    for _ in 0..10_000 {
        let page = world.read(cursor.at, count);
        match cursor.read(&page) {
            Read::Deliver { lost, from, more } => {
                if let Some(lost) = lost {
                    member.begin(lost);
                }
                page.messages[from..].iter().for_each(|stored| member.get(stored.position.number, stored.body));
                if !more {
                    return;
                }
            }
            Read::Anew { at } => member.begin(at),
        }
        if count > CHURN && world.is_busy {
            for _ in 0..CHURN {
                world.append();
            }
            world.trim(CHURN);
        }
    }
    panic!("the repair does not end");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]
    /// A member, whatever the bus and the servers do, gets every number since its join or last reset once and in order,
    /// and after a final reconnect it has exactly the messages that are not lost.
    #[test]
    fn every_message_once_and_in_order(steps in prop::collection::vec(step(), 1..80), join in 0_usize..40, is_busy: bool) {
        let mut world = World::new(is_busy);
        let mut bus: Vec<(Position, u64)> = Vec::new();
        let mut is_connected = true;
        let mut cursor = Cursor::new(Position { epoch: 1, number: 0 });
        let mut member = Member { since: cursor.at(), got: Vec::new(), ever: HashSet::new() };
        for (time, step) in steps.into_iter().chain([Step::Reconnect(3)]).enumerate() {
            if time == join {
                // A member joins, from the cursor's current position on.
                member.begin(cursor.at());
            }
            match step {
                Step::Append => {
                    let message = world.append();
                    bus.extend(is_connected.then_some(message));
                }
                Step::Receive(which) | Step::ReceiveTwice(which) if !bus.is_empty() => {
                    let which = which.min(bus.len() - 1);
                    let (position, message) = match step {
                        Step::ReceiveTwice(_) => bus[which],
                        _ => bus.remove(which),
                    };
                    match cursor.live(position) {
                        Live::Deliver => member.get(position.number, message),
                        Live::Seen => {}
                        Live::Repair => repair(&mut world, &mut cursor, &mut member, 3),
                    }
                }
                Step::Lose(which) if which < bus.len() => drop(bus.remove(which)),
                Step::Reconnect(count) => {
                    bus.clear();
                    is_connected = true;
                    repair(&mut world, &mut cursor, &mut member, count);
                }
                Step::Trim(count) => world.trim(count),
                Step::LoseAll => {
                    world.lose_all();
                    bus.clear();
                    is_connected = false;
                }
                Step::FailOver(count) => {
                    world.fail_over(count);
                    bus.clear();
                    is_connected = false;
                }
                _ => {}
            }
            let numbers = member.got.iter().map(|(number, _)| *number);
            prop_assert!(numbers.eq(member.since.number + 1..=member.since.number + member.got.len() as u64));
        }
        prop_assert_eq!(cursor.at(), world.end());
        let left: Vec<_> = world.messages.into_iter().filter(|(number, _)| *number > member.since.number).collect();
        prop_assert_eq!(member.got, left);
    }
}
