//! Judges a [`record`](super::record) by PROTOCOL's promises for stored messages. Pure: no clock, no network.
//!
//! A member's *lineage* begins with a join without `since` and goes on over every reconnect that was `recovered:true`.
//! Over a lineage, pages and live messages together must be the room's acknowledged messages, each exactly once, in the
//! order of their ids, from the first of the joining page (of the room, if that page is not full) to the room's last. A
//! lineage that the server ends (`recovered:false`, `room-reset`) is judged up to the last message seen, and another
//! begins. Such an end is a violation, unless the member had missed more than a room has to keep (a justified reset,
//! which is counted) or Redis lost data.
//!
//! A Redis that fails over may lose what it acknowledged. Whether a message is gone follows from the ids: a room then has a
//! new epoch, whose numbers go on from the last message that was left. A lineage that goes on over such a loss must still
//! have every acknowledged message, or be reset within five seconds; one that began after it need not have what was gone
//! by then. A message that is sent
//! again because it was gone before its ack is not stored twice. [`walk`] judges one member; [`room`] makes the checks that do not depend on one.
//!
//! It does not judge time. Messages that were never acknowledged may be missing, but not doubled.

mod room;
mod walk;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use super::record::{Room, Sent};

/// Limits that the checker applies.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Fewest messages that a room keeps: a member that missed more may be reset.
    pub kept: usize,
    /// Messages in the page for a join without `since`, if the room has that many.
    pub page: usize,
    /// Whether Redis kept all that it stored; if not, a reset is no violation.
    pub kept_data: bool,
    /// Whether Redis may have lost messages that were acknowledged.
    pub may_vanish: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { kept: 1_000, page: 50, kept_data: true, may_vanish: false }
    }
}

/// Kinds of violations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A member never received an acknowledged message.
    Lost,
    /// One member received a message twice.
    Doubled,
    /// One message (one `clientId`) has two ids, or one id two contents.
    StoredTwice,
    /// A message came after a later one.
    Reordered,
    /// A live message came before the ack of the join.
    Early,
    /// Two messages of one sender, each sent once, on the same connection, are stored in the opposite order.
    SenderOrder,
    /// No sender sent this message, or not to this room.
    NeverSent,
    /// An acknowledged message is not in the room any more.
    Vanished,
    /// `room-reset` or `recovered:false`, although the room must still have kept every missed message.
    Reset,
    /// CONNECT_ERROR or DISCONNECT: none of the injected faults justifies it.
    Rejected,
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
            Self::Vanished => "vanished",
            Self::Reset => "reset",
            Self::Rejected => "rejected",
        })
    }
}

/// One broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub kind: Kind,
    /// Number of the room.
    pub room: usize,
    /// Number of the member; none if the violation is not about one.
    pub member: Option<u32>,
    /// The message's id, and its sender and sequence (or its text, if no sender wrote it).
    pub message: String,
    /// Milliseconds of the run; if it is about no member, when the message was sent (0 if no sender wrote it).
    pub at_ms: u32,
    /// The member's trace around it, as text.
    pub around: Vec<String>,
}

/// Violations of each kind that are kept with details; all are counted.
const DETAILED: u64 = 5;

/// The outcome.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Messages that reached members, pages included.
    pub deliveries: u64,
    /// Justified resets: the member had missed more than the room keeps.
    pub justified_resets: u64,
    /// Resets that are no violation only because Redis may have lost data.
    pub excused_resets: u64,
    /// Messages that were gone, over which a member went on for a moment before it was reset.
    pub told_after: u64,
    /// Acknowledged messages that Redis lost.
    pub vanished: u64,
    /// The first violations found of each kind.
    pub violations: Vec<Violation>,
    counts: BTreeMap<Kind, u64>,
}

impl Verdict {
    /// Violations of that kind.
    pub fn count(&self, kind: Kind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// Violations of all kinds.
    pub fn all(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Missing deliveries.
    pub fn lost(&self) -> u64 {
        self.count(Kind::Lost)
    }

    /// Messages delivered twice or stored twice.
    pub fn doubled(&self) -> u64 {
        self.count(Kind::Doubled) + self.count(Kind::StoredTwice)
    }

    /// Everything out of order, early deliveries included.
    pub fn reordered(&self) -> u64 {
        self.count(Kind::Reordered) + self.count(Kind::Early) + self.count(Kind::SenderOrder)
    }

    fn violation(&mut self, kind: Kind, violation: impl FnOnce() -> Violation) {
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        if *count <= DETAILED {
            self.violations.push(violation());
        }
    }
}

/// Judges all rooms; `sent` holds the senders' records, by sender and sequence.
pub fn check(rooms: &[Room], sent: &[Vec<Sent>], rules: &Rules) -> Verdict {
    let mut verdict = Verdict::default();
    for (number, room) in rooms.iter().enumerate() {
        let order = room::Order::of(room);
        room::check(number, room, &order, sent, rules, &mut verdict);
        for trace in &room.traces {
            walk::walk(&walk::Place { number, room, order: &order, rules }, trace, &mut verdict);
        }
    }
    verdict.violations.sort_by_key(|violation| (violation.kind, violation.at_ms));
    verdict
}
