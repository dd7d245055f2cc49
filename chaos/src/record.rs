//! The record of a run: messages sent and acknowledged, and every member's observations, in their order.
//!
//! Deliveries are kept as numbers into one table of messages per room: a run of millions of them allocates per message,
//! not per delivery. The record judges nothing; the checker does.

use std::collections::HashMap;

/// Identifies a message by its sender. Its content carries this, so a delivery can be traced to its sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Number of the sender.
    pub sender: u32,
    /// Number among the sender's messages, from 0.
    pub sequence: u32,
}

/// Origin of a message, read from its content.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A message of our senders.
    Ours {
        key: Key,
        /// When it was first sent, in microseconds of the run.
        at_us: u64,
    },
    /// The start of a content that none of our senders writes.
    Foreign(Box<str>),
}

/// A message that was delivered or acknowledged under this id. An id with two contents has two entries.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The `messageId`.
    pub id: Box<str>,
    pub origin: Origin,
}

/// How a join was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// Without `since`.
    Fresh,
    /// With `since`, and `recovered` was true.
    Recovered,
    /// With `since`, and `recovered` was false or missing.
    NotRecovered,
}

/// One observation of a member in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation {
    /// A join was acknowledged; the pages that came with it follow.
    Joined(Join),
    /// A message in `recent-messages`.
    Page(u32),
    /// A `new-message`.
    Live(u32),
    /// A `new-message` before the ack of the join, which PROTOCOL forbids.
    Early(u32),
    /// `room-reset`; a number into [`Room::positions`].
    Reset(u32),
    /// The connection was lost.
    Disconnected,
    /// CONNECT_ERROR or DISCONNECT: the client does not come back.
    Rejected,
}

impl Observation {
    /// Number of the message that it delivered.
    pub fn message(self) -> Option<u32> {
        match self {
            Self::Page(message) | Self::Live(message) | Self::Early(message) => Some(message),
            _ => None,
        }
    }
}

/// An observation and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Milliseconds of the run.
    pub at_ms: u32,
    pub observation: Observation,
}

/// All observations of one member in one room, over all its connections.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// Number of the member.
    pub member: u32,
    /// In the order of arrival.
    pub entries: Vec<Entry>,
}

/// An ack with `status: "ok"` for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acked {
    /// Key of the acknowledged message.
    pub key: Key,
    /// Number into [`Room::messages`] of the message with the id in the ack.
    pub message: u32,
}

/// Everything about one room.
#[derive(Debug, Clone, Default)]
pub struct Room {
    /// As clients name it.
    pub name: String,
    /// Every message that was delivered or acknowledged.
    pub messages: Vec<Stored>,
    /// One per member.
    pub traces: Vec<Trace>,
    /// In the order of the acks.
    pub acked: Vec<Acked>,
    /// Positions from `room-reset` events.
    pub positions: Vec<Box<str>>,
    by_id: HashMap<Box<str>, u32>,
}

/// A sender's record of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Number of the room.
    pub room: u32,
    /// When it was first sent, in microseconds of the run.
    pub at_us: u64,
    /// Number of the connection that it was first sent over.
    pub connection: u32,
    /// How often it was sent.
    pub tries: u32,
}

impl Room {
    /// A room, with an empty trace for each of these members.
    pub fn new(name: String, members: impl IntoIterator<Item = u32>) -> Self {
        let traces = members.into_iter().map(|member| Trace { member, entries: Vec::new() }).collect();
        Self { name, traces, ..Self::default() }
    }

    /// The number of the message with this id and content; adds it if it is new.
    pub fn intern(&mut self, id: &str, content: &str) -> u32 {
        let origin = Origin::read(content);
        let known = self.by_id.get(id).copied();
        if let Some(known) = known
            && self.messages[known as usize].origin == origin
        {
            return known;
        }
        let other = known.and_then(|_| self.messages.iter().position(|m| *m.id == *id && m.origin == origin));
        let number = u32::try_from(other.unwrap_or(self.messages.len())).unwrap_or(u32::MAX);
        if other.is_none() {
            self.messages.push(Stored { id: id.into(), origin });
            self.by_id.entry(id.into()).or_insert(number);
        }
        number
    }

    /// Appends an observation to the trace with that index.
    pub fn observe(&mut self, place: usize, at_ms: u32, observation: Observation) {
        self.traces[place].entries.push(Entry { at_ms, observation });
    }

    /// Adds a position and returns its number.
    pub fn position(&mut self, position: &str) -> u32 {
        self.positions.push(position.into());
        u32::try_from(self.positions.len() - 1).unwrap_or(u32::MAX)
    }
}

/// Longest content, in characters.
const CONTENT: usize = 1_000;

/// Writes a message's content: key and time, padded with `x` to `length` characters, at most [`CONTENT`].
pub fn content(key: Key, at_us: u64, length: usize) -> String {
    let head = format!("{}.{}.{at_us} ", key.sender, key.sequence);
    format!("{head:x<0$}", length.min(CONTENT))
}

impl Origin {
    /// Parses a content.
    pub fn read(content: &str) -> Self {
        Self::ours(content).unwrap_or_else(|| Self::Foreign(content.chars().take(80).collect()))
    }

    fn ours(content: &str) -> Option<Self> {
        let (head, padding) = content.split_once(' ')?;
        let mut parts = head.split('.');
        let (sender, sequence, at_us) = (parts.next()?, parts.next()?, parts.next()?);
        let key = Key { sender: sender.parse().ok()?, sequence: sequence.parse().ok()? };
        let whole = parts.next().is_none() && padding.bytes().all(|byte| byte == b'x');
        whole.then_some(Self::Ours { key, at_us: at_us.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_is_read_back() {
        let key = Key { sender: 3, sequence: 70_000 };
        let text = content(key, 12_345_678_901, 100);
        assert_eq!(text.len(), 100);
        assert_eq!(Origin::read(&text), Origin::Ours { key, at_us: 12_345_678_901 });
        for foreign in ["", "hello", "1.2 x", "1.2.3", "1.2.3 y", "1.2.3.4 x", "-1.2.3 x"] {
            assert_eq!(Origin::read(foreign), Origin::Foreign(foreign.into()));
        }
    }

    #[test]
    fn an_id_with_two_contents_is_two_messages() {
        let mut room = Room::new("r".into(), [7]);
        let first = room.intern("a", "1.1.1 ");
        assert_eq!(room.intern("a", "1.1.1 "), first);
        let second = room.intern("a", "1.2.1 ");
        assert_ne!(first, second);
        assert_eq!(room.intern("a", "1.2.1 "), second);
        assert_eq!(room.intern("a", "1.1.1 "), first);
        assert_eq!(room.messages.len(), 2);
    }
}
