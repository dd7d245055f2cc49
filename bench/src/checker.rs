//! Judges what each receiver got from each sender: every message exactly once, in the order in which it was sent.
//!
//! Pure: no clock, no network. It knows the number of messages sent only at the end, so a message that never arrives
//! counts as lost then, and a message that arrives after a later one counts as out of order, not as lost.

use std::collections::BTreeSet;

use serde::Serialize;

/// An arrival, compared with the one that was expected next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The first time, and no later message came before it.
    InOrder,
    /// The first time, but after a later message.
    Late,
    /// Not the first time.
    Again,
}

/// One receiver's view of one sender.
#[derive(Debug, Default)]
pub struct Cursor {
    /// The number after the highest one that arrived.
    next: u32,
    /// Numbers below `next` that have not arrived.
    missing: BTreeSet<u32>,
}

impl Cursor {
    /// Takes note of a message. The caller has checked that the sender has sent that number.
    pub fn observe(&mut self, sequence: u32) -> Arrival {
        if sequence >= self.next {
            self.missing.extend(self.next..sequence);
            self.next = sequence + 1;
            Arrival::InOrder
        } else if self.missing.remove(&sequence) {
            Arrival::Late
        } else {
            Arrival::Again
        }
    }

    /// Messages that never arrived, of the `sent` ones.
    pub fn lost(&self, sent: u32) -> u64 {
        let unseen = sent.saturating_sub(self.next);
        u64::from(unseen) + u64::try_from(self.missing.len()).unwrap_or(u64::MAX)
    }
}

/// Totals of a run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Messages that a receiver never got.
    pub lost: u64,
    /// Messages that a receiver got more than once.
    pub doubled: u64,
    /// Messages that a receiver got after a later one of the same sender.
    pub reordered: u64,
    /// Messages that were not for this receiver, or that nobody sent.
    pub misdirected: u64,
}

impl Verdict {
    /// Whether everything arrived exactly once, in order.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

/// Judges the messages of all senders at all receivers. A receiver hears a few senders only: its room's.
#[derive(Debug, Default)]
pub struct Checker {
    /// For each receiver, a cursor for each sender of its room.
    cursors: Vec<Vec<Cursor>>,
    verdict: Verdict,
}

impl Checker {
    /// For receivers that hear that many senders each.
    pub fn new(senders_heard: impl IntoIterator<Item = usize>) -> Self {
        let cursors = |senders| std::iter::repeat_with(Cursor::default).take(senders).collect();
        Self { cursors: senders_heard.into_iter().map(cursors).collect(), verdict: Verdict::default() }
    }

    /// Takes note of a message that a receiver got. `sender` is the sender's place in the receiver's room, none if it
    /// is not in that room; `sent` is the number of messages that the sender has sent. Returns whether it is a delivery:
    /// a message of the room, for the first time.
    pub fn received(&mut self, receiver: usize, sender: Option<usize>, sequence: u32, sent: u32) -> bool {
        let cursor = sender.and_then(|sender| self.cursors.get_mut(receiver)?.get_mut(sender));
        let Some(cursor) = cursor.filter(|_| sequence < sent) else {
            self.verdict.misdirected += 1;
            return false;
        };
        match cursor.observe(sequence) {
            Arrival::InOrder => return true,
            Arrival::Late => self.verdict.reordered += 1,
            Arrival::Again => {
                self.verdict.doubled += 1;
                return false;
            }
        }
        true
    }

    /// The verdict at the end. `sent` returns how many messages a receiver should have got from the sender at that place
    /// of its room.
    pub fn verdict(&self, sent: impl Fn(usize, usize) -> u32) -> Verdict {
        let mut verdict = self.verdict;
        for (receiver, cursors) in self.cursors.iter().enumerate() {
            for (sender, cursor) in cursors.iter().enumerate() {
                verdict.lost += cursor.lost(sent(receiver, sender));
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One receiver that hears one sender of ten messages.
    fn judged(arrivals: &[u32]) -> Verdict {
        let mut checker = Checker::new([1]);
        for sequence in arrivals {
            checker.received(0, Some(0), *sequence, 10);
        }
        checker.verdict(|_, _| 10)
    }

    #[test]
    fn everything_once_in_order_is_clean() {
        assert!(judged(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]).is_clean());
    }

    #[test]
    fn catches_loss_at_the_start_in_between_and_at_the_end() {
        let lost = |lost| Verdict { lost, ..Verdict::default() };
        assert_eq!(judged(&[1, 2, 3, 4, 5, 6, 7, 8, 9]), lost(1));
        assert_eq!(judged(&[0, 1, 2, 5, 6, 7, 8, 9]), lost(2));
        assert_eq!(judged(&[0, 1, 2, 3, 4, 5, 6]), lost(3));
        assert_eq!(judged(&[]), lost(10));
    }

    #[test]
    fn catches_doubling_at_once_and_later() {
        let doubled = |doubled| Verdict { doubled, ..Verdict::default() };
        assert_eq!(judged(&[0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), doubled(1));
        assert_eq!(judged(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 5]), doubled(2));
    }

    #[test]
    fn catches_reordering_and_does_not_count_it_as_loss() {
        let reordered = |reordered| Verdict { reordered, ..Verdict::default() };
        assert_eq!(judged(&[1, 0, 2, 3, 4, 5, 6, 7, 8, 9]), reordered(1));
        assert_eq!(judged(&[0, 3, 2, 1, 4, 5, 6, 7, 8, 9]), reordered(2));
    }

    #[test]
    fn a_late_message_that_comes_again_is_doubled() {
        assert_eq!(
            judged(&[1, 0, 0, 2, 3, 4, 5, 6, 7, 8, 9]),
            Verdict { reordered: 1, doubled: 1, ..Verdict::default() }
        );
    }

    #[test]
    fn catches_messages_of_other_rooms_and_messages_that_nobody_sent() {
        let mut checker = Checker::new([1]);
        assert!(!checker.received(0, None, 0, 1));
        assert!(!checker.received(0, Some(1), 0, 1));
        assert!(!checker.received(0, Some(0), 1, 1), "not sent yet");
        assert!(!checker.received(7, Some(0), 0, 1), "no such receiver");
        assert!(checker.received(0, Some(0), 0, 1));
        assert_eq!(checker.verdict(|_, _| 1), Verdict { misdirected: 4, ..Verdict::default() });
    }

    #[test]
    fn receivers_and_senders_are_judged_apart() {
        let mut checker = Checker::new([2, 2]);
        for (receiver, sender) in [(0, 0), (0, 1), (1, 0)] {
            assert!(checker.received(receiver, Some(sender), 0, 1));
        }
        assert_eq!(checker.verdict(|_, _| 1), Verdict { lost: 1, ..Verdict::default() });
    }

    proptest! {
        /// For any arrivals: each first one is a delivery, and the rest is lost or doubled.
        #[test]
        fn the_totals_add_up(arrivals in prop::collection::vec(0_u32..20, 0..60)) {
            let mut checker = Checker::new([1]);
            let delivered = arrivals.iter().filter(|sequence| checker.received(0, Some(0), **sequence, 20)).count() as u64;
            let verdict = checker.verdict(|_, _| 20);
            let different = arrivals.iter().collect::<BTreeSet<_>>().len() as u64;
            prop_assert_eq!(delivered, different);
            prop_assert_eq!(verdict.lost, 20 - different);
            prop_assert_eq!(verdict.doubled, arrivals.len() as u64 - different);
            let mut highest = None;
            let mut late = BTreeSet::new();
            for (at, sequence) in arrivals.iter().enumerate() {
                if highest > Some(*sequence) && !arrivals[..at].contains(sequence) {
                    late.insert(*sequence);
                }
                highest = highest.max(Some(*sequence));
            }
            prop_assert_eq!(verdict.reordered, late.len() as u64);
        }
    }
}
