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

/// See the module. Its updates have consecutive numbers.
pub(super) struct History {
    namespace: Arc<str>,
    updates: VecDeque<Update>,
    bytes: usize,
    /// Updates after a lower number than this are not read from the log.
    unread_from: u64,
}

impl Update {
    pub(super) fn new(namespace: &str, position: Position, body: &str) -> Self {
        Self { position, plain: Frame::event_json(namespace, "updates", body), with_offset: None }
    }

    /// The update as a subscriber gets it.
    pub(super) fn frame(&mut self, offsets: bool) -> &Frame {
        match offsets {
            true => self.with_offset.get_or_insert_with(|| self.plain.with_argument(offset(self.position).as_bytes())),
            false => &self.plain,
        }
    }

    fn bytes(&self) -> usize {
        self.plain.bytes()
    }
}

impl History {
    pub(super) fn new(namespace: Arc<str>) -> Self {
        Self { namespace, updates: VecDeque::new(), bytes: 0, unread_from: 0 }
    }

    /// Replaces everything by a page of the log.
    pub(super) fn fill(&mut self, page: &Page) {
        self.clear();
        for stored in &page.messages {
            self.push(Update::new(&self.namespace, stored.position, &stored.body));
        }
    }

    pub(super) fn push(&mut self, update: Update) {
        self.bytes += update.bytes();
        self.updates.push_back(update);
        while self.updates.len() > KEPT || (self.bytes > KEPT_BYTES && self.updates.len() > 1) {
            self.bytes -= self.updates.pop_front().map_or(0, |update| update.bytes());
        }
    }

    /// Adds these updates, which were read from the log, in front: those that are missing there, as long as there is
    /// room.
    pub(super) fn prepend(&mut self, read: Vec<Update>) {
        let first = self.updates.front().map(|update| update.position.number);
        let missing = read.into_iter().filter(|update| first.is_none_or(|first| update.position.number < first));
        for update in missing.collect::<Vec<_>>().into_iter().rev() {
            if self.updates.len() >= KEPT || self.bytes + update.bytes() > KEPT_BYTES {
                self.unread_from = self.updates.front().map_or(0, |update| update.position.number);
                return;
            }
            self.bytes += update.bytes();
            self.updates.push_front(update);
        }
    }

    /// The log does not have all updates after this number, or more than can be sent.
    pub(super) fn cannot_be_read_after(&mut self, number: u64) {
        self.unread_from = self.unread_from.max(number + 1);
    }

    /// Whether the updates after this number may be read from the log. No after the first attempt that failed, so that
    /// clients with old offsets cost few reads.
    pub(super) fn may_be_read_after(&self, number: u64) -> bool {
        number >= self.unread_from
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(Arc::clone(&self.namespace));
    }

    /// The last `count` updates.
    pub(super) fn newest(&mut self, count: usize) -> impl Iterator<Item = &mut Update> {
        let from = self.updates.len().saturating_sub(count);
        self.updates.range_mut(from..)
    }

    /// The updates after this position, if all of them are here.
    pub(super) fn after(&mut self, position: Position) -> Option<impl Iterator<Item = &mut Update>> {
        let first = self.updates.front()?.position;
        let from = usize::try_from((position.number + 1).checked_sub(first.number)?).ok()?;
        let is_known = match from.checked_sub(1) {
            Some(last) => self.updates.get(last)?.position == position,
            None => first.epoch == position.epoch,
        };
        is_known.then(|| self.updates.range_mut(from..))
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
    fn what_was_read_is_kept_and_nothing_is_read_in_vain_again() {
        let mut history = history(8..=9, 1);
        assert!(history.may_be_read_after(0));
        history.cannot_be_read_after(3);
        assert_eq!([3, 4].map(|number| history.may_be_read_after(number)), [false, true]);
        history.prepend((5..=9).map(|number| Update::new("/", at(number), "1")).collect());
        let numbers: Vec<_> = history.after(at(4)).unwrap().map(|update| update.position.number).collect();
        assert_eq!(numbers, [5, 6, 7, 8, 9]);
        let large = "x".repeat(KEPT_BYTES / 2);
        history.prepend((1..=4).map(|number| Update::new("/", at(number), &large)).collect());
        assert!(history.after(at(3)).is_some() && history.after(at(2)).is_none());
        assert_eq!([3, 4].map(|number| history.may_be_read_after(number)), [false, true]);
        history.clear();
        assert!(history.may_be_read_after(0) && history.bytes == 0);
    }

    #[test]
    fn it_is_bounded_in_number_and_in_bytes() {
        assert_eq!(history(1..=1_500, 1).updates.len(), KEPT);
        let large = history(1..=100, 50_000);
        assert!(large.bytes <= KEPT_BYTES && large.updates.len() >= 15, "{}", large.updates.len());
        assert_eq!(history(1..=2, 2 * KEPT_BYTES).updates.len(), 1);
    }
}
