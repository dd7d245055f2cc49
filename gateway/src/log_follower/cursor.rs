//! The position in a log that was delivered last. Pure: it decides, its callers read and deliver.

use jackfield_cluster::log::{Page, Position};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    at: Position,
}

/// Decision about a message received over the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Live {
    /// It is the next one.
    Deliver,
    /// It was delivered before, or belongs to an earlier epoch: skip it.
    Seen,
    /// An earlier message is missing, or the log began a new epoch: read the log.
    Repair,
}

/// Decision about a page that was read after the cursor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Deliver the page's messages from index `from` on; `more` if the log continues after them. With `lost`, the
    /// missed numbers up to it are no longer kept: reset the sink first, and do not read the page again, because its
    /// oldest message may be dropped before the next read.
    Deliver { lost: Option<Position>, from: usize, more: bool },
    /// The log began a new epoch at `at`: reset the sink, and read again after it.
    Anew { at: Position },
}

impl Cursor {
    pub(crate) fn new(at: Position) -> Self {
        Self { at }
    }

    pub(crate) fn at(self) -> Position {
        self.at
    }

    /// Decides about a message received over the bus.
    pub(crate) fn live(&mut self, position: Position) -> Live {
        if position <= self.at {
            return Live::Seen;
        }
        if position.epoch == self.at.epoch && position.number == self.at.number + 1 {
            self.at = position;
            return Live::Deliver;
        }
        Live::Repair
    }

    /// Decides about a page that was read after the cursor, and advances the cursor.
    pub(crate) fn read<B>(&mut self, page: &Page<B>) -> Read {
        if self.at == page.empty && page.base == 0 {
            // The log was empty, and the back end has lost nothing since: its first epoch continues from there.
            self.at.epoch = page.end.epoch;
        }
        if page.end.epoch != self.at.epoch {
            self.at = Position { epoch: page.end.epoch, number: page.base };
            return Read::Anew { at: self.at };
        }
        let from = page.messages.partition_point(|message| message.number <= self.at.number);
        let next = page.messages.get(from).map(|message| message.number);
        let lost = match next {
            Some(number) if number > self.at.number + 1 => Some(Position { number: number - 1, ..self.at }),
            None if page.end.number > self.at.number => Some(page.end),
            _ => None,
        };
        let last = page.messages.last().map(|message| Position { number: message.number, ..self.at });
        self.at = self.at.max(lost.max(last).unwrap_or(self.at));
        Read::Deliver { lost, from, more: self.at < page.end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_cluster::log::{KEPT_FOR, Stored};
    use proptest::prelude::*;

    /// The true log, as the model; the simulated bus loses, duplicates, delays and reorders messages.
    struct World {
        epoch: u64,
        /// Epoch of logs without messages, since the back end last lost all data.
        empty: u64,
        log: Vec<u64>,
        end: u64,
        base: u64,
        /// Whether the log changes while it is read.
        is_busy: bool,
    }

    impl World {
        fn page_after(&self, number: u64, count: usize) -> Page {
            let after = self.log.iter().filter(|other| **other > number).take(count);
            Page {
                end: Position { epoch: self.epoch, number: self.end },
                base: self.base,
                empty: Position { epoch: self.empty, number: 0 },
                messages: after.map(|number| Stored { number: *number, body: "".into() }).collect(),
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
        NewEpoch,
        FallBack,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => Just(Step::Append),
            8 => (0_usize..3).prop_map(Step::Receive),
            1 => (0_usize..3).prop_map(Step::ReceiveTwice),
            2 => (0_usize..3).prop_map(Step::Lose),
            1 => (1_usize..5).prop_map(Step::Reconnect),
            1 => (0_usize..20).prop_map(Step::Trim),
            1 => Just(Step::NewEpoch),
            1 => Just(Step::FallBack),
        ]
    }

    /// Number of messages that are appended, and trimmed, between two reads of a busy log.
    const CHURN: u64 = 2;

    /// The messages that a member received since its join or last reset.
    struct Member {
        since: Position,
        got: Vec<u64>,
    }

    fn repair(world: &mut World, cursor: &mut Cursor, member: &mut Member, count: usize) {
        for _ in 0..10_000 {
            let after = if world.epoch == cursor.at.epoch { cursor.at.number } else { 0 };
            let page = world.page_after(after, count);
            match cursor.read(&page) {
                Read::Deliver { lost, from, more } => {
                    if let Some(lost) = lost {
                        *member = Member { since: lost, got: Vec::new() };
                    }
                    member.got.extend(page.messages[from..].iter().map(|message| message.number));
                    if !more {
                        return;
                    }
                }
                Read::Anew { at } => *member = Member { since: at, got: Vec::new() },
            }
            if count > CHURN as usize && world.is_busy {
                world.epoch += u64::from(world.epoch == world.empty);
                world.log.extend(world.end + 1..=world.end + CHURN);
                world.end += CHURN;
                world.log.drain(..CHURN as usize);
            }
        }
        panic!("the repair does not end");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        /// For any behaviour of the bus, a member gets every number since its join or last reset once and in order, and
        /// has them all after a final reconnect.
        #[test]
        fn every_number_once_and_in_order(events in prop::collection::vec(step(), 1..80), join in 0_usize..40, is_busy: bool) {
            let mut world = World { epoch: 1, empty: 1, log: Vec::new(), end: 0, base: 0, is_busy };
            let mut bus: Vec<Position> = Vec::new();
            let mut cursor = Cursor::new(Position { epoch: 1, number: 0 });
            let mut member = Member { since: cursor.at(), got: Vec::new() };
            for (time, event) in events.into_iter().chain([Step::Reconnect(3)]).enumerate() {
                if time == join {
                    // A member joins, from the cursor's current position on.
                    member = Member { since: cursor.at(), got: Vec::new() };
                }
                match event {
                    Step::Append => {
                        if world.epoch == world.empty {
                            world.epoch += 1;
                        }
                        world.end += 1;
                        world.log.push(world.end);
                        bus.push(Position { epoch: world.epoch, number: world.end });
                    }
                    Step::Receive(which) | Step::ReceiveTwice(which) if !bus.is_empty() => {
                        let which = which.min(bus.len() - 1);
                        let position = match event {
                            Step::ReceiveTwice(_) => bus[which],
                            _ => bus.remove(which),
                        };
                        match cursor.live(position) {
                            Live::Deliver => member.got.push(position.number),
                            Live::Seen => {}
                            Live::Repair => repair(&mut world, &mut cursor, &mut member, 3),
                        }
                    }
                    Step::Lose(which) if which < bus.len() => drop(bus.remove(which)),
                    Step::Reconnect(count) => {
                        bus.clear();
                        // A read detects a log that ends before the seen position, and begins a new epoch at its end.
                        if world.epoch == cursor.at.epoch && world.end < cursor.at.number {
                            world.epoch += 1;
                            world.base = world.end;
                        }
                        repair(&mut world, &mut cursor, &mut member, count);
                    }
                    Step::Trim(count) => drop(world.log.drain(..count.min(world.log.len()))),
                    Step::NewEpoch => {
                        let epoch = world.epoch + 1;
                        world = World { epoch, empty: epoch, log: Vec::new(), end: 0, base: 0, ..world };
                        bus.clear();
                    }
                    Step::FallBack if world.end > world.base => {
                        // A failover that lost the newest messages drops all connections, so a reconnect comes first.
                        world.end -= 1;
                        world.log.retain(|number| *number <= world.end);
                        bus.clear();
                        if world.epoch == cursor.at.epoch && world.end < cursor.at.number {
                            world.epoch += 1;
                            world.base = world.end;
                        }
                        repair(&mut world, &mut cursor, &mut member, 3);
                    }
                    _ => {}
                }
                let expected: Vec<u64> = (1..=member.got.len() as u64).map(|n| member.since.number + n).collect();
                prop_assert_eq!(&member.got, &expected);
            }
            prop_assert_eq!(cursor.at(), Position { epoch: world.epoch, number: world.end });
            let is_first = member.since == Position { epoch: world.empty, number: 0 };
            prop_assert!(member.since.epoch == world.epoch || is_first);
            prop_assert_eq!(member.since.number + member.got.len() as u64, world.end);
        }
    }
}
