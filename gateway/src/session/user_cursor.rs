//! A session's position in its user's log. Pure: it decides, its callers read and send.
//!
//! Guarantees: the session gets each event of the log after the position of its claim once and in order, from the bus
//! or by reading the log, as long as the log keeps it.

use jackfield_cluster::log::{Page, Position};

use crate::log_follower::{Cursor, Live, Read};

/// See the module.
pub(super) struct UserCursor {
    /// The position of the last event that was sent; epoch 0 until the session's claim is complete. Not an option,
    /// because every connection has one.
    at: Position,
    /// The log is being read for the session, or will be: events from the bus are skipped.
    is_behind: bool,
    /// One was skipped since the last read began.
    skipped: bool,
}

/// Decision about an event from the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is the next one.
    Deliver,
    /// It was sent before, or the log is being read.
    Skip,
    /// An earlier one is missing: the caller must have the log read.
    Read,
}

impl Default for UserCursor {
    fn default() -> Self {
        Self { at: Position { epoch: 0, number: 0 }, is_behind: false, skipped: false }
    }
}

impl UserCursor {
    /// The session continues from the position of its claim. Returns whether the caller must have the log read, because
    /// events were skipped since.
    pub(super) fn begin(&mut self, at: Position) -> bool {
        self.at = at;
        self.is_behind = std::mem::take(&mut self.skipped);
        self.is_behind
    }

    /// The position of the last event that was sent.
    pub(super) fn at(&self) -> Option<Position> {
        (self.at.epoch > 0).then_some(self.at)
    }

    /// An event arrived over the bus.
    pub(super) fn live(&mut self, position: Position) -> Step {
        if self.at.epoch == 0 || self.is_behind {
            self.skipped = true;
            return Step::Skip;
        }
        let mut cursor = Cursor::new(self.at);
        match cursor.live(position) {
            // The first event of a user whose log was empty: if all data was lost in between, nothing could be read
            // either.
            Live::Repair if self.at.number == 0 && position.number == 1 => {
                self.at = position;
                Step::Deliver
            }
            Live::Deliver => {
                self.at = cursor.at();
                Step::Deliver
            }
            Live::Seen => Step::Skip,
            Live::Repair => {
                self.is_behind = true;
                Step::Read
            }
        }
    }

    /// The bus may have lost events, and the log ends here. Returns whether the caller must have the log read.
    pub(super) fn ends(&mut self, end: Position) -> bool {
        let Some(at) = self.at() else { return false };
        if end.epoch == at.epoch && end.number <= at.number {
            return false;
        }
        self.skipped |= self.is_behind;
        !std::mem::replace(&mut self.is_behind, true)
    }

    /// A read of the log begins after the returned position.
    pub(super) fn begin_read(&mut self) -> Option<Position> {
        self.skipped = false;
        self.at()
    }

    /// The log was read: see [`Cursor::read`].
    pub(super) fn read<B>(&mut self, page: &Page<B>) -> Read {
        let mut cursor = Cursor::new(self.at);
        let read = cursor.read(page);
        self.at = cursor.at();
        read
    }

    /// The end of the log was read. False if the caller must read again, because events were skipped meanwhile.
    pub(super) fn caught_up(&mut self) -> bool {
        self.is_behind = self.skipped;
        !self.is_behind
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jackfield_cluster::log::Stored;
    use proptest::prelude::*;

    use super::*;

    const EMPTY: Position = Position { epoch: 1, number: 0 };

    /// The position of the log's end, or of one of its events. The log begins with its first event.
    fn at(number: u64) -> Position {
        if number == 0 { EMPTY } else { Position { epoch: 7, number } }
    }

    #[derive(Debug, Clone)]
    enum Do {
        /// An event is sent, and the bus passes it on or loses it.
        Send { lost: bool },
        /// The bus passes an earlier event on again.
        Again(u64),
        /// The node notices that the bus may have lost something.
        Gap,
        /// The page of a read is taken by Redis.
        TakePage,
        /// It arrives.
        Arrive,
    }

    fn steps() -> impl Strategy<Value = Vec<Do>> {
        let step = prop_oneof![
            6 => any::<bool>().prop_map(|lost| Do::Send { lost }),
            1 => (1_u64..20).prop_map(Do::Again),
            2 => Just(Do::Gap),
            4 => Just(Do::TakePage),
            4 => Just(Do::Arrive),
        ];
        prop::collection::vec(step, 0..60)
    }

    proptest! {
        /// The bus loses, doubles and delays events, and reads overlap with it: after a gap was noticed and all reads
        /// have ended, the session got each event once and in order.
        #[test]
        fn each_event_is_sent_once_and_in_order(claimed_at in 0_u64..5, missed in 0_u64..4, steps in steps()) {
            let (mut cursor, mut end, mut got) = (UserCursor::default(), claimed_at, Vec::new());
            // Events between the claim and the first socket.
            for _ in 0..missed {
                end += 1;
                prop_assert_eq!(cursor.live(at(end)), Step::Skip);
            }
            let mut must_read = cursor.begin(at(claimed_at));
            prop_assert_eq!(must_read, missed > 0);
            let mut page: Option<Page<()>> = None;
            let tail = [Do::Gap, Do::TakePage, Do::Arrive, Do::TakePage, Do::Arrive];
            for step in steps.into_iter().chain(tail) {
                match step {
                    Do::Send { lost } => {
                        end += 1;
                        if !lost {
                            match cursor.live(at(end)) {
                                Step::Deliver => got.push(end),
                                Step::Read => must_read = true,
                                Step::Skip => {}
                            }
                        }
                    }
                    Do::Again(number) if number <= end => {
                        match cursor.live(at(number)) {
                            Step::Deliver => got.push(number),
                            Step::Read => must_read = true,
                            Step::Skip => {}
                        }
                    }
                    Do::Again(_) => {}
                    Do::Gap => must_read |= cursor.ends(at(end)),
                    Do::TakePage if must_read && page.is_none() => {
                        let seen = cursor.begin_read().unwrap();
                        let messages = (seen.number + 1..=end).map(|number| Stored { position: at(number), body: () });
                        let (end, messages) = (at(end), messages.collect());
                        page = Some(Page { end, base: 0, earlier: vec![], messages, empty: EMPTY, kept_for: Duration::ZERO });
                    }
                    Do::TakePage => {}
                    Do::Arrive => {
                        if let Some(page) = page.take() {
                            let Read::Deliver { lost: None, from, more: false } = cursor.read(&page) else {
                                panic!("the page has all");
                            };
                            got.extend(page.messages[from..].iter().map(|stored| stored.position.number));
                            must_read = !cursor.caught_up();
                        }
                    }
                }
            }
            prop_assert!(!must_read && page.is_none());
            prop_assert_eq!(got, (claimed_at + 1..=end).collect::<Vec<_>>());
        }
    }
}
