//! A sender's messages that are under way in a closed loop: sent, and not yet at all members.

use std::collections::VecDeque;

use crate::clock::SECOND;

/// After that time a message that not everybody has is given up, so that a loss does not stop its sender.
const PATIENCE: u64 = 5 * SECOND;

/// A sender's messages from the oldest one that is under way on.
#[derive(Debug, Default)]
pub struct Open {
    /// The number of the first one.
    first: u32,
    /// Members that each one has not reached, and when it was sent.
    messages: VecDeque<(u32, u64)>,
    under_way: u32,
}

impl Open {
    /// The next message is sent, to that many members.
    pub fn begin(&mut self, members: u32, now: u64) {
        self.messages.push_back((members, now));
        self.under_way += u32::from(members > 0);
    }

    /// Messages under way.
    pub fn count(&self) -> u32 {
        self.under_way
    }

    /// A message has reached one more member. Returns whether that was the last one.
    pub fn delivered(&mut self, sequence: u32) -> bool {
        let index = sequence.checked_sub(self.first).map(|index| index as usize);
        let Some((left, _)) = index.and_then(|index| self.messages.get_mut(index)).filter(|(left, _)| *left > 0) else {
            return false;
        };
        *left -= 1;
        if *left > 0 {
            return false;
        }
        self.under_way -= 1;
        self.forget();
        true
    }

    /// Gives up messages that were sent too long ago; returns how many.
    pub fn give_up(&mut self, now: u64) -> u64 {
        let mut given_up = 0;
        for (left, since) in &mut self.messages {
            if *left > 0 && *since + PATIENCE < now {
                *left = 0;
                self.under_way -= 1;
                given_up += 1;
            }
        }
        self.forget();
        given_up
    }

    /// Drops what is done from the front.
    fn forget(&mut self) {
        while self.messages.front().is_some_and(|(left, _)| *left == 0) {
            self.messages.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_done_when_all_members_have_it() {
        let mut open = Open::default();
        open.begin(2, 0);
        open.begin(1, 0);
        assert!(!open.delivered(0));
        assert!(open.delivered(1), "the second one overtakes");
        assert_eq!(open.count(), 1);
        assert!(open.delivered(0));
        assert_eq!((open.count(), open.first), (0, 2));
        assert!(!open.delivered(0) && !open.delivered(7), "not under way");
    }

    #[test]
    fn a_message_that_not_everybody_gets_is_given_up() {
        let mut open = Open::default();
        open.begin(2, 0);
        open.begin(2, PATIENCE);
        assert!(!open.delivered(0));
        assert_eq!(open.give_up(PATIENCE), 0);
        assert_eq!(open.give_up(PATIENCE + 1), 1);
        assert_eq!(open.count(), 1);
        assert!(!open.delivered(0), "it comes too late");
        assert!(!open.delivered(1));
        assert!(open.delivered(1));
    }
}
