//! The newest messages of a room, without a gap up to a position, to answer reads in place of the log. Pure.
//!
//! Guarantees: a window answers a read exactly as the log would now, for a reader at the window's end; if it cannot be
//! sure, it gives no answer. It can be sure because messages never move or change, and because the log drops them only
//! by number and by age: the window holds no more messages than the log keeps, and expires before the first of them
//! becomes too old. Messages stored after the log was read are younger than all of these.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use jackfield_cluster::log::{KEPT, Page, Position, Range, Stored};

/// Bytes of a message besides its text: its slot in the window, and the reference counts of its shared text.
const EACH: usize = size_of::<Stored>() + 2 * size_of::<usize>();

/// See the module.
pub(super) struct Window {
    end: Position,
    base: u64,
    earlier: Vec<Position>,
    empty: Position,
    /// All messages after this number, up to the end, are in the window.
    floor: u64,
    /// Whether the log keeps no message up to `floor`.
    is_all: bool,
    messages: VecDeque<Stored>,
    bytes: usize,
    /// The window expires at this time: from then on the log may keep less.
    until: Instant,
}

impl Window {
    /// The window up to `end` from `page`, the log's answer to a read of `range` and `count` that was sent at `asked`
    /// or later.
    pub(super) fn of(page: &Page, range: Range, count: usize, end: Position, asked: Instant) -> Self {
        let up_to_end = page.messages.partition_point(|message| message.position.number <= end.number);
        let mut messages = VecDeque::with_capacity(up_to_end);
        let mut floor = end.number;
        for message in page.messages[..up_to_end].iter().rev() {
            if message.position.number != floor {
                break;
            }
            floor -= 1;
            messages.push_front(message.clone());
        }
        let has_no_hole = messages.len() == up_to_end;
        let is_all = floor == 0
            || has_no_hole
                && match range {
                    // Messages in between are no longer kept, and the log drops the oldest first.
                    Range::After(number) => number < floor,
                    Range::Newest => page.messages.len() < count,
                    Range::Before(_) => false,
                };
        // Messages after `end` will be delivered, too. Their age is known only if the page has all of them.
        let beyond = (page.messages.len() - up_to_end) as u64;
        let knows_ages = page.end.number == end.number + beyond;
        let until = if knows_ages { asked + page.kept_for } else { asked };
        let bytes = messages.iter().map(size).sum();
        let earlier = page.earlier.clone();
        Self { end, base: page.base, earlier, empty: page.empty, floor, is_all, messages, bytes, until }
    }

    /// Adds a delivered message. Returns false if it is not the next one: then drop the window.
    pub(super) fn push(&mut self, position: Position, body: &Arc<str>) -> bool {
        if (position.epoch, position.number) != (self.end.epoch, self.end.number + 1) {
            return false;
        }
        self.end = position;
        let stored = Stored { position, body: Arc::clone(body) };
        self.bytes += size(&stored);
        self.messages.push_back(stored);
        true
    }

    /// Drops the oldest messages, down to [`KEPT`] messages and `max` bytes.
    pub(super) fn shrink(&mut self, max: usize) {
        while (self.bytes > max || self.messages.len() > KEPT)
            && let Some(oldest) = self.messages.pop_front()
        {
            self.bytes -= size(&oldest);
            self.floor = oldest.position.number;
            self.is_all = false;
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The log's answer now for a reader at `end`; `None` if the window cannot be sure of it.
    pub(super) fn read(&self, range: Range, count: usize, end: Position, now: Instant) -> Option<Page> {
        if self.end != end || now >= self.until {
            return None;
        }
        let len = self.messages.len();
        let first = match range {
            Range::After(number) if number >= self.floor || self.is_all => {
                usize::try_from(number.saturating_sub(self.floor)).map_or(len, |skipped| skipped.min(len))
            }
            Range::Newest if len >= count || self.is_all => len.saturating_sub(count),
            _ => return None,
        };
        let messages = self.messages.range(first..).take(count).cloned().collect();
        let (base, earlier, empty) = (self.base, self.earlier.clone(), self.empty);
        Some(Page { end, base, earlier, messages, empty, kept_for: self.until - now })
    }

    /// Whether to keep this window instead of `other`.
    pub(super) fn is_better_than(&self, other: &Self, now: Instant) -> bool {
        other.end != self.end || now >= other.until || self.floor <= other.floor
    }
}

fn size(message: &Stored) -> usize {
    EACH + message.body.len()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::room::join::{FIRST, Wanted};
    use jackfield_cluster::log::KEPT_FOR;

    /// No room of these tests was ever empty.
    const EMPTY: Position = Position { epoch: 0, number: 0 };

    const HOUR: Duration = Duration::from_hours(1);

    /// The true log, with every message that it ever stored.
    struct Log {
        end: Position,
        base: u64,
        /// Numbers 1, 2, …, and when each was stored.
        ever: Vec<(Stored, Instant)>,
    }

    impl Log {
        fn new() -> Self {
            Self { end: Position { epoch: 1, number: 0 }, base: 0, ever: Vec::new() }
        }

        fn append(&mut self, count: usize, now: Instant) {
            for _ in 0..count {
                self.end.number += 1;
                let body = format!("{:01$}", self.end, 20 + self.end.number as usize % 80).into();
                self.ever.push((Stored { position: self.end, body }, now));
            }
        }

        /// The log's answer now.
        fn read(&self, range: Range, count: usize, now: Instant) -> Page {
            self.read_as(range, count, (forgotten(self.end), self.end), now)
        }

        /// The log's answer if it ended at `end` and had dropped everything up to `floor`.
        fn read_as(&self, range: Range, count: usize, (floor, end): (u64, Position), now: Instant) -> Page {
            let kept = self.ever[floor as usize..end.number as usize].iter().filter(|(_, at)| now - *at <= KEPT_FOR);
            let page: Vec<_> = match range {
                Range::After(after) => kept.filter(|(one, _)| one.position.number > after).take(count).collect(),
                _ => {
                    let mut newest: Vec<_> = kept.rev().take(count).collect();
                    newest.reverse();
                    newest
                }
            };
            let age = page.iter().map(|(_, at)| now - *at).max().unwrap_or_default();
            let messages = page.into_iter().map(|(one, _)| one.clone()).collect();
            Page { end, base: self.base, earlier: vec![], messages, empty: EMPTY, kept_for: KEPT_FOR - age }
        }
    }

    /// The number up to which a log that ends at `end` has dropped its messages.
    fn forgotten(end: Position) -> u64 {
        end.number.saturating_sub(KEPT as u64)
    }

    #[derive(Debug, Clone)]
    enum Step {
        Append(usize),
        /// This many messages arrive over the bus, in order.
        Receive(usize),
        /// The members read the missed messages from the log, and follow it into a new epoch.
        CatchUp,
        /// The log loses its newest messages and continues under a new epoch.
        FallBack(usize),
        Lost,
        Wait(u32),
        /// With a position this far before the log's end (or after it, if negative), in this epoch or the last; or
        /// without a position.
        Join(Option<(i64, bool)>),
        /// No joins for a while.
        Idle,
    }

    fn step() -> impl Strategy<Value = Step> {
        let distance = prop_oneof![3 => -5_i64..80, 2 => 0_i64..1_200];
        prop_oneof![
            4 => (1_usize..60).prop_map(Step::Append),
            1 => (300_usize..1_300).prop_map(Step::Append),
            6 => (1_usize..80).prop_map(Step::Receive),
            2 => Just(Step::CatchUp),
            1 => (0_usize..40).prop_map(Step::FallBack),
            1 => Just(Step::Lost),
            2 => (0_u32..15).prop_map(Step::Wait),
            9 => (distance, prop::bool::weighted(0.9)).prop_map(|since| Step::Join(Some(since))),
            6 => Just(Step::Join(None)),
            1 => Just(Step::Idle),
        ]
    }

    /// The answer to a join: the numbers, and whether there are more; `None` if the missed messages are not kept.
    fn answer_from(wanted: Wanted, page: &Page, end: Position) -> Option<(Vec<u64>, bool)> {
        let (to_send, more) = wanted.to_send(page, end);
        let numbers = page.messages[to_send].iter().map(|message| message.position.number).collect();
        wanted.is_kept(page, end).then_some((numbers, more))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        /// For any history of log and bus, the window answers as the log does, or did when it ended at the members'
        /// position; and a page after a position contains everything up to the members' position.
        #[test]
        fn a_window_answers_as_the_log_would(events in prop::collection::vec(step(), 1..100), max in 0_usize..100_000) {
            let mut now = Instant::now();
            let mut log = Log::new();
            let mut cursor = log.end;
            let mut window: Option<Window> = None;
            for event in events {
                match event {
                    Step::Append(count) => log.append(count, now),
                    Step::Receive(count) if cursor.epoch == log.end.epoch => {
                        for (message, _) in log.ever.iter().skip(cursor.number as usize).take(count) {
                            cursor.number = message.position.number;
                            window = window.take().pushed(cursor, &message.body, max);
                        }
                    }
                    Step::CatchUp => {
                        if cursor.epoch != log.end.epoch {
                            cursor = Position { number: log.base, ..log.end };
                        }
                        // Messages that are no longer kept are skipped.
                        for message in log.read(Range::After(cursor.number), KEPT, now).messages {
                            cursor.number = message.position.number;
                            window = window.take().pushed(cursor, &message.body, max);
                        }
                        cursor = log.end;
                    }
                    Step::FallBack(count) => {
                        log.base = log.end.number.saturating_sub(count as u64);
                        log.end = Position { epoch: log.end.epoch + 1, number: log.base };
                        log.ever.truncate(log.base as usize);
                    }
                    Step::Lost => log = Log { end: Position { epoch: log.end.epoch + 1, number: 0 }, ..Log::new() },
                    Step::Wait(hours) => now += HOUR * hours,
                    Step::Idle => window = None,
                    // The worker reads the log until its cursor is in the log's epoch.
                    Step::Join(since) if cursor.epoch == log.end.epoch => {
                        let text = since.map(|(distance, is_of_this_epoch)| {
                            let number = log.end.number.saturating_add_signed(-distance);
                            Position { epoch: log.end.epoch - u64::from(!is_of_this_epoch), number }.to_string()
                        });
                        let wanted = Wanted::of(text.as_deref(), cursor, EMPTY);
                        let (range, count) = wanted.range();
                        let page = log.read(range, count, now);
                        let from_log = answer_from(wanted, &page, cursor);
                        let from_window = window.as_ref().and_then(|window| window.read(range, count, cursor, now));
                        if let Some(page) = &from_window {
                            let answer = answer_from(wanted, page, cursor);
                            // While the members are behind, the log drops an old message for each newer one.
                            let floors = forgotten(cursor)..=forgotten(log.end).min(cursor.number);
                            let log_answer = |floor| answer_from(wanted, &log.read_as(range, count, (floor, cursor), now), cursor);
                            prop_assert!(floors.clone().any(|floor| answer == log_answer(floor)), "{answer:?} {:?}", log_answer(*floors.start()));
                            prop_assert!(page.messages.iter().all(|message| *message == log.ever[message.position.number as usize - 1].0));
                        } else {
                            let fresh = Window::of(&page, range, count, cursor, now);
                            if log.end == cursor && !page.kept_for.is_zero() {
                                let again = fresh.read(range, count, cursor, now).map(|again| answer_from(wanted, &again, cursor));
                                prop_assert_eq!(again.as_ref(), Some(&from_log), "a fresh window answers its own read");
                            }
                            if window.as_ref().is_none_or(|present| fresh.is_better_than(present, now)) {
                                window = Some(fresh);
                                if let Some(window) = &mut window {
                                    window.shrink(max);
                                }
                            }
                        }
                        let answer = from_window.map_or(from_log, |page| answer_from(wanted, &page, cursor));
                        match (wanted, answer) {
                            (Wanted::After { number, .. }, Some((numbers, more))) => {
                                prop_assert!(!more, "a read by number alone has all");
                                prop_assert!(numbers.into_iter().eq(number + 1..=cursor.number), "a hole");
                            }
                            (Wanted::Newest(_), Some((numbers, more))) => {
                                prop_assert!(numbers.is_sorted() && numbers.len() <= FIRST.1 && !more);
                            }
                            (_, None) => {}
                        }
                    }
                    _ => {}
                }
                if let Some(window) = &window {
                    prop_assert!(window.bytes() <= max && window.messages.len() <= KEPT);
                    prop_assert_eq!(window.bytes(), window.messages.iter().map(size).sum::<usize>());
                }
            }
        }
    }

    /// Adds a message as the worker does.
    trait Push {
        fn pushed(self, position: Position, body: &Arc<str>, max: usize) -> Self;
    }

    impl Push for Option<Window> {
        fn pushed(self, position: Position, body: &Arc<str>, max: usize) -> Self {
            let mut window = self?;
            let is_next = window.push(position, body);
            window.shrink(max);
            is_next.then_some(window)
        }
    }

    /// A log of `stored` messages, all stored now, and a window from reading `range` of it.
    fn read_once(stored: usize, range: Range, count: usize) -> (Log, Window, Instant) {
        let (mut log, now) = (Log::new(), Instant::now());
        log.append(stored, now);
        let window = Window::of(&log.read(range, count, now), range, count, log.end, now);
        (log, window, now)
    }

    #[test]
    fn one_read_answers_all_joins_that_need_no_older_messages() {
        let (mut log, mut window, now) = read_once(200, FIRST.0, FIRST.1);
        for _ in 0..20 {
            log.append(1, now);
            assert!(window.push(log.end, &log.ever[log.ever.len() - 1].0.body));
        }
        assert!(window.read(FIRST.0, FIRST.1, log.end, now).is_some());
        for after in 150..=220 {
            assert_eq!(
                window.read(Range::After(after), KEPT, log.end, now).unwrap().messages.len() as u64,
                220 - after
            );
        }
        assert!(window.read(Range::After(149), KEPT, log.end, now).is_none(), "the log may have more");
        assert!(window.read(Range::Before(200), 10, log.end, now).is_none());
        assert!(window.read(FIRST.0, FIRST.1, Position { number: 219, ..log.end }, now).is_none());
        assert!(!window.push(Position { number: 222, ..log.end }, &"".into()), "a gap");
        assert!(!window.push(Position { epoch: 2, number: 221 }, &"".into()), "another epoch");
    }

    #[test]
    fn a_window_of_the_whole_log_answers_any_position() {
        let (log, window, now) = read_once(30, FIRST.0, FIRST.1);
        assert_eq!(window.read(Range::After(0), KEPT, log.end, now).unwrap().messages.len(), 30);
        let (log, window, now) = read_once(1_100, Range::After(40), KEPT);
        let all = window.read(Range::After(0), KEPT, log.end, now).unwrap();
        assert_eq!((all.messages.len(), all.continues(0)), (KEPT, false));
    }

    #[test]
    fn a_window_expires_before_the_log_drops_its_messages() {
        let (log, window, now) = read_once(60, FIRST.0, FIRST.1);
        let last = now + KEPT_FOR - Duration::from_millis(1);
        assert!(window.read(FIRST.0, FIRST.1, log.end, last).is_some());
        assert!(window.read(FIRST.0, FIRST.1, log.end, now + KEPT_FOR).is_none());
    }
}
