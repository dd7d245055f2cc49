//! Whether the log still has the message that was delivered last.
//!
//! A log that lost its newest messages gives their numbers again. If it has grown past the position that a follower has
//! reached before the follower reads it, the numbers alone do not show that. So the follower keeps a hash of the last
//! message. Pure.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::LazyLock,
};

use jackfield_cluster::log::{Page, Position};

/// Of this process: nobody outside can find another message with the same hash.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The last message that a follower has delivered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Anchor {
    at: Position,
    hash: u64,
}

impl Anchor {
    pub(super) fn new(at: Position, body: &str) -> Self {
        Self { at, hash: KEY.hash_one(body) }
    }

    /// Whether it is the message at this position.
    pub(super) fn is_at(&self, position: Position) -> bool {
        self.at == position
    }

    /// Whether another message has its number in the same epoch. The page was read from this number on; if the log keeps
    /// it no longer, nobody knows.
    pub(super) fn is_replaced<B: AsRef<str>>(&self, page: &Page<B>) -> bool {
        let first = page.messages.first().filter(|message| message.number == self.at.number);
        page.end.epoch == self.at.epoch && first.is_some_and(|message| KEY.hash_one(message.body.as_ref()) != self.hash)
    }
}

#[cfg(test)]
mod tests {
    use jackfield_cluster::log::{KEPT_FOR, Stored};

    use super::*;

    #[test]
    fn another_message_with_the_same_position_is_noticed() {
        let at = |epoch, number| Position { epoch, number };
        let page = |epoch, messages: &[(u64, &'static str)]| Page {
            end: at(epoch, 9),
            base: 0,
            empty: at(1, 0),
            messages: messages.iter().map(|(number, body)| Stored { number: *number, body: *body }).collect(),
            kept_for: KEPT_FOR,
        };
        let anchor = Anchor::new(at(2, 5), "mine");
        assert!(anchor.is_at(at(2, 5)) && !anchor.is_at(at(2, 6)));
        assert!(!anchor.is_replaced(&page(2, &[(5, "mine"), (6, "next")])));
        assert!(anchor.is_replaced(&page(2, &[(5, "another"), (6, "next")])));
        assert!(!anchor.is_replaced(&page(3, &[(5, "another")])), "a new epoch says so itself");
        assert!(!anchor.is_replaced(&page(2, &[(6, "next")])), "not kept any more");
        assert!(!anchor.is_replaced(&page(2, &[])));
    }
}
