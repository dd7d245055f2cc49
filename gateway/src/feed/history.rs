//! The last updates of a feed on this node, encoded.

use std::{collections::VecDeque, sync::Arc};

use jackfield_cluster::log::{Page, Position};
use jackfield_engine::Frame;

use super::resume::offset;

/// Most updates and bytes that are kept for subscribers that come back; the log has more.
const KEPT: usize = 1_000;
const KEPT_BYTES: usize = 1_000_000;

/// One update.
pub(super) struct Update {
    pub(super) position: Position,
    plain: Frame,
    /// Made when the first subscriber with offsets gets it.
    with_offset: Option<Frame>,
}

/// See the module. Its updates have consecutive numbers of one epoch.
pub(super) struct History {
    namespace: Arc<str>,
    updates: VecDeque<Update>,
    bytes: usize,
}

impl Update {
    pub(super) fn new(namespace: &str, position: Position, body: &str) -> Self {
        Self { position, plain: Frame::event_json(namespace, "updates", body), with_offset: None }
    }

    /// The update as a subscriber gets it.
    pub(super) fn frame(&mut self, offsets: bool) -> &Frame {
        match offsets {
            true => self.with_offset.get_or_insert_with(|| self.plain.with_argument(&offset(self.position))),
            false => &self.plain,
        }
    }

    fn bytes(&self) -> usize {
        self.plain.bytes()
    }
}

impl History {
    pub(super) fn new(namespace: Arc<str>) -> Self {
        Self { namespace, updates: VecDeque::new(), bytes: 0 }
    }

    /// Replaces everything by a page of the log.
    pub(super) fn fill(&mut self, page: &Page) {
        self.clear();
        for stored in &page.messages {
            self.push(Update::new(&self.namespace, Position { number: stored.number, ..page.end }, &stored.body));
        }
    }

    pub(super) fn push(&mut self, update: Update) {
        self.bytes += update.bytes();
        self.updates.push_back(update);
        while self.updates.len() > KEPT || (self.bytes > KEPT_BYTES && self.updates.len() > 1) {
            self.bytes -= self.updates.pop_front().map_or(0, |update| update.bytes());
        }
    }

    pub(super) fn clear(&mut self) {
        (self.updates, self.bytes) = (VecDeque::new(), 0);
    }

    /// The last `count` updates.
    pub(super) fn newest(&mut self, count: usize) -> impl Iterator<Item = &mut Update> {
        let from = self.updates.len().saturating_sub(count);
        self.updates.range_mut(from..)
    }

    /// The updates after this position, if all of them are here.
    pub(super) fn after(&mut self, position: Position) -> Option<impl Iterator<Item = &mut Update>> {
        let first = self.updates.front()?.position;
        let from = (position.number + 1).checked_sub(first.number).filter(|_| first.epoch == position.epoch)?;
        let from = usize::try_from(from).ok().filter(|from| *from <= self.updates.len())?;
        Some(self.updates.range_mut(from..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64) -> Position {
        Position { epoch: 7, number }
    }

    fn history(numbers: impl Iterator<Item = u64>, bytes: usize) -> History {
        let mut history = History::new("/ws/v1/x".into());
        for number in numbers {
            history.push(Update::new("/ws/v1/x", at(number), &format!("\"{}\"", "x".repeat(bytes))));
        }
        history
    }

    #[test]
    fn only_a_part_without_a_hole_is_returned() {
        let mut history = history(5..=9, 1);
        let mut numbers = |number: u64| {
            history.after(at(number)).map(|updates| updates.map(|update| update.position.number).collect::<Vec<_>>())
        };
        assert_eq!(numbers(3), None);
        assert_eq!(numbers(4), Some(vec![5, 6, 7, 8, 9]));
        assert_eq!((numbers(8), numbers(9), numbers(10)), (Some(vec![9]), Some(vec![]), None));
        assert!(history.after(Position { epoch: 6, number: 8 }).is_none());
        assert_eq!(history.newest(2).map(|update| update.position.number).collect::<Vec<_>>(), [8, 9]);
    }

    #[test]
    fn it_is_bounded_in_number_and_in_bytes() {
        assert_eq!(history(1..=1_500, 1).updates.len(), KEPT);
        let large = history(1..=100, 50_000);
        assert!(large.bytes <= KEPT_BYTES && large.updates.len() >= 15, "{}", large.updates.len());
        assert_eq!(history(1..=2, 2 * KEPT_BYTES).updates.len(), 1);
    }
}
