//! A part of a log.

use std::{sync::Arc, time::Duration};

use super::position::Position;

/// Bytes of message bodies in one read after a position; the first message is included whatever its length.
pub const PAGE_BYTES: usize = 256 * 1024;

/// A stored message: its position, and its body, in a room its JSON without the id: `"room":…,"content":…}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<B = Arc<str>> {
    /// The one that it was published with, as far as the log knows the epochs: a message that is older than these has
    /// the oldest one's.
    pub position: Position,
    /// In a room the rest of the message's JSON object after the id, up to its end.
    pub body: B,
}

/// A page of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<B = Arc<str>> {
    /// The newest position, whether or not it is in the page.
    pub end: Position,
    /// The last number that was written before the oldest epoch that the log knows: that of the first of `earlier`, or
    /// else the present one.
    pub base: u64,
    /// The ends of earlier epochs, oldest first, of which nothing is known to be lost.
    pub earlier: Vec<Position>,
    /// In order, each number once.
    pub messages: Vec<Stored<B>>,
    /// The position of everything without a log. A log whose `base` is 0 had this position until its first message.
    pub empty: Position,
    /// Time from the request until the first of `messages` becomes too old to be kept.
    pub kept_for: Duration,
}

/// The part of a log to read; [`super::Log::read`] has its size as `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// The first `count` after this number, cut at [`PAGE_BYTES`].
    After(u64),
    /// The last `count` before this number.
    Before(u64),
    /// The last `count`.
    Newest,
}

impl<B> Page<B> {
    /// The number after which a reader goes on that has everything up to `seen`. `None` if the log may not have what that
    /// reader has.
    #[must_use]
    pub fn number_of(&self, seen: Position) -> Option<u64> {
        if seen == self.empty && self.base == 0 {
            // The log was empty, and the back end has lost nothing since.
            return Some(0);
        }
        let mut ends = self.earlier.iter().chain([&self.end]);
        let end = ends.find(|end| end.epoch == seen.epoch)?;
        (seen.number <= end.number).then_some(seen.number)
    }

    /// Whether this is the log's present epoch, or an earlier one of which nothing is known to be lost.
    #[must_use]
    pub fn knows(&self, epoch: u64) -> bool {
        self.earlier.iter().chain([&self.end]).any(|end| end.epoch == epoch)
    }

    /// The same page with other bodies.
    pub(crate) fn with_bodies<C>(self, to: impl Fn(B) -> C) -> Page<C> {
        let Self { end, base, earlier, messages, empty, kept_for } = self;
        let messages = messages.into_iter().map(|Stored { position, body }| Stored { position, body: to(body) });
        Page { end, base, earlier, messages: messages.collect(), empty, kept_for }
    }

    /// Whether no message is missing between `number` and the page's first message.
    #[must_use]
    pub fn continues(&self, number: u64) -> bool {
        match self.messages.first() {
            Some(first) => first.position.number == number + 1,
            None => self.end.number <= number,
        }
    }
}

/// The position at which the message with this number was published: see [`Stored::position`].
pub(crate) fn position_of(number: u64, earlier: &[Position], end: Position) -> Position {
    let epoch = earlier.iter().find(|earlier| number <= earlier.number).map_or(end.epoch, |earlier| earlier.epoch);
    Position { epoch, number }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u64, number: u64) -> Position {
        Position { epoch, number }
    }

    #[test]
    fn readers_of_earlier_epochs_go_on_if_the_log_has_what_they_have() {
        let (earlier, end) = (vec![at(3, 20), at(5, 25), at(6, 25)], at(9, 30));
        let page = Page::<()> { end, base: 10, earlier, messages: vec![], empty: at(1, 0), kept_for: Duration::ZERO };
        let known = [at(3, 20), at(3, 5), at(5, 21), at(6, 25), at(9, 25), at(9, 30)];
        assert!(known.iter().all(|seen| page.number_of(*seen) == Some(seen.number)));
        let unknown = [at(3, 21), at(5, 26), at(9, 31), at(2, 5), at(4, 5), at(10, 5), at(1, 0)];
        assert!(unknown.iter().all(|seen| page.number_of(*seen).is_none()));
        assert_eq!(Page { base: 0, ..page.clone() }.number_of(at(1, 0)), Some(0));
        let positions = [5, 20, 21, 25, 26].map(|number| position_of(number, &page.earlier, end).epoch);
        assert_eq!(positions, [3, 3, 5, 5, 9]);
    }
}
