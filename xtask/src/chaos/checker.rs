//! Judges a [`record`](super::record) by what PROTOCOL promises for stored messages. Pure: no clock, no network.
//!
//! A member's *lineage* begins with a join without `since` and goes on over every reconnect that was `recovered:true`. Over a
//! lineage, pages and live messages together must be the room's acknowledged messages, each exactly once, in the order
//! of their ids, from the first of the joining page to the room's last. A lineage that the server ended
//! (`recovered:false`, `room-reset`) is judged up to what was seen of it, and its end is itself an offence, unless the member
//! had missed more than a room has to keep: such a reset is true, and counted. [`walk`] judges one member, [`room`] what all of a room share.
//!
//! What it does not judge: messages that were never acknowledged may be missing (not doubled), and nothing is said about time.

mod room;
mod walk;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use super::record::{Room, Sent};

/// What the run may rely on.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Messages that a room keeps at least: whoever missed more may be told so.
    pub kept: usize,
    /// Messages of the page that a join without `since` gets, where the room has so many.
    pub page: usize,
    /// Whether Redis kept its data all along; where it did not, resets are no offence.
    pub kept_data: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { kept: 1_000, page: 50, kept_data: true }
    }
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An acknowledged message never came.
    Lost,
    /// One member saw a message twice.
    Doubled,
    /// One message (one `clientId`) has two ids, or one id two contents.
    StoredTwice,
    /// A message came after a later one.
    Reordered,
    /// A live message came before the ack of the join.
    Early,
    /// Two messages of one sender, sent once each on one connection, stand in the other order.
    SenderOrder,
    /// Nobody sent this, or not to this room.
    NeverSent,
    /// `room-reset` or `recovered:false`, though the room must still have had everything.
    Reset,
    /// CONNECT_ERROR or DISCONNECT, which no fault of ours justifies.
    SentAway,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost",
            Self::Doubled => "doubled",
            Self::StoredTwice => "stored twice",
            Self::Reordered => "reordered",
            Self::Early => "before its join's ack",
            Self::SenderOrder => "reordered within a sender",
            Self::NeverSent => "never sent",
            Self::Reset => "reset",
            Self::SentAway => "sent away",
        })
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offence {
    /// What.
    pub kind: Kind,
    /// Number of the room.
    pub room: usize,
    /// Number of the member; none where it is the room's.
    pub member: Option<u32>,
    /// The message, as its id and content.
    pub message: String,
    /// Where in the run.
    pub at_ms: u32,
    /// What the member saw around it.
    pub around: Vec<String>,
}

/// Offences of one kind that are kept whole; all are counted.
const KEPT_WHOLE: u64 = 5;

/// The outcome.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Messages that reached members, pages included.
    pub deliveries: u64,
    /// Resets that were true: the member had missed more than is kept.
    pub outrun: u64,
    /// The first offences of each kind.
    pub offences: Vec<Offence>,
    counts: BTreeMap<Kind, u64>,
}

impl Verdict {
    /// How many of that kind.
    pub fn count(&self, kind: Kind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// Offences of all kinds.
    pub fn all(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Missing deliveries.
    pub fn lost(&self) -> u64 {
        self.count(Kind::Lost)
    }

    /// Deliveries and messages that are there twice.
    pub fn doubled(&self) -> u64 {
        self.count(Kind::Doubled) + self.count(Kind::StoredTwice)
    }

    /// Everything out of its place.
    pub fn reordered(&self) -> u64 {
        self.count(Kind::Reordered) + self.count(Kind::Early) + self.count(Kind::SenderOrder)
    }

    fn offend(&mut self, kind: Kind, offence: impl FnOnce() -> Offence) {
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        if *count <= KEPT_WHOLE {
            self.offences.push(offence());
        }
    }
}

/// Judges all rooms; `sent` is what each sender noted, by sender and sequence.
pub fn check(rooms: &[Room], sent: &[Vec<Sent>], rules: &Rules) -> Verdict {
    let mut verdict = Verdict::default();
    for (number, room) in rooms.iter().enumerate() {
        let order = room::Order::of(room);
        room::check(number, room, &order, sent, &mut verdict);
        for trace in &room.traces {
            walk::walk(&walk::Place { number, room, order: &order, rules }, trace, &mut verdict);
        }
    }
    verdict.offences.sort_by_key(|offence| (offence.kind, offence.at_ms));
    verdict
}
