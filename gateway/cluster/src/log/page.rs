//! A part of a log.

use std::{sync::Arc, time::Duration};

use super::position::Position;

/// Bytes of message bodies in one read after a position; the first message is included whatever its length.
pub const PAGE_BYTES: usize = 256 * 1024;

/// A stored message: its number, and its body, in a room its JSON without the id: `"room":…,"content":…}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<B = Arc<str>> {
    /// Within the page's epoch.
    pub number: u64,
    /// In a room the rest of the message's JSON object after the id, up to its end.
    pub body: B,
}

/// A page of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<B = Arc<str>> {
    /// The newest position, whether or not it is in the page.
    pub end: Position,
    /// The last number that was written before this epoch began.
    pub base: u64,
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
    /// Whether no message is missing between `number` and the page's first message.
    #[must_use]
    pub fn continues(&self, number: u64) -> bool {
        match self.messages.first() {
            Some(first) => first.number == number + 1,
            None => self.end.number <= number,
        }
    }
}
