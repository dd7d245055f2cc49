//! Port: a room's stored messages.
//!
//! Guarantees: messages are numbered without holes from one epoch to the next, and no position is given twice; appending and
//! publishing (as [`crate::wire::BusMessage::Message`] on [`crate::bus::Channel::Room`]) are one atomic step; a message
//! appended again under the same key within five minutes is stored once and gets its first position; the newest 1,000
//! of 24 hours can be read. An epoch begins with the log. Another one begins when the back end may have lost messages,
//! because another server took over or it was started again: a reader that has no more than is left goes on
//! ([`Page::number_of`]). If a node has seen more, all readers begin anew. A room without a log takes
//! no memory: its position is [`Page::empty`], which changes only if the back end loses all data. Deliberately does not
//! know a room's members, and which durability a room needs.

mod durability;
pub(crate) mod memory;
pub(crate) mod page;
pub(crate) mod position;
pub(crate) mod redis;

use std::time::Duration;

use jackfield_shared::trace::{Span, SpanKind, within};

pub use self::{
    durability::{Durability, Shortfall},
    page::{PAGE_BYTES, Page, Range, Stored},
    position::Position,
};
use crate::forward::forward;
use crate::{Unavailable, log::memory::MemoryLog, log::redis::RedisLog, partition::PartitionSet, room_name::RoomName};

/// Messages that a room keeps.
pub const KEPT: usize = 1_000;
/// How long a message is kept.
pub const KEPT_FOR: Duration = Duration::from_hours(24);
/// How long the same key stands for the same message.
pub const SAME_KEY_FOR: Duration = Duration::from_mins(5);

/// The result of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The message's position.
    pub position: Position,
    /// Whether it was stored now, and not earlier under the same key.
    pub new: bool,
    /// The durability that it has reached: the one that the caller wanted.
    pub durable: Durability,
}

/// The port.
#[derive(Clone)]
pub enum Log {
    /// Within one process.
    Memory(MemoryLog),
    /// A stream per room in Redis.
    Redis(RedisLog),
}

impl Log {
    /// Stores and publishes a message. `key`, if given, makes retries within [`SAME_KEY_FOR`] idempotent. If a new
    /// epoch begins with this message, it is later than that of `seen`, the newest position that the caller knows; one
    /// begins if the log ends before it. Answered once the
    /// message has reached `durable`, also if it was stored before under the same key; nodes receive it before.
    ///
    /// # Errors
    /// [`Unavailable`]: the message may or may not have been stored, and has not reached `durable` as far as is known.
    pub async fn append(
        &self,
        room: &RoomName,
        body: &str,
        key: Option<&str>,
        seen: Option<Position>,
        durable: Durability,
    ) -> Result<Appended, Unavailable> {
        let appending = async { forward!(self.append(room, body, key, seen, durable)) };
        within(Span::child("append", SpanKind::Producer), appending).await
    }

    /// The same logs, whose appends record no facts.
    #[must_use]
    pub fn without_facts(self) -> Self {
        match self {
            Self::Memory(log) => Self::Memory(log.without_facts()),
            Self::Redis(log) => Self::Redis(log.without_facts()),
        }
    }

    /// The message that was stored under this key within the last [`SAME_KEY_FOR`]. Answered once it has reached
    /// `durable`.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn find(&self, room: &RoomName, key: &str, durable: Durability) -> Result<Option<Appended>, Unavailable> {
        let found = forward!(self.find(room, key, durable))?;
        Ok(found.map(|position| Appended { position, new: false, durable }))
    }

    /// Those of these durabilities that the back end does not give at present, as far as is known. From the first call
    /// on, and for as long as the node runs, Redis is checked.
    #[must_use]
    pub fn shortfalls(&self, durabilities: &[Durability]) -> Vec<Shortfall> {
        match self {
            Self::Memory(_) => MemoryLog::shortfalls(durabilities),
            Self::Redis(log) => log.shortfalls(durabilities),
        }
    }

    /// The position of this room without a log, as far as this node knows.
    ///
    /// # Errors
    /// [`Unavailable`]: this node does not know it yet, and the back end does not answer.
    pub async fn empty(&self, room: &RoomName) -> Result<Position, Unavailable> {
        match self {
            Self::Memory(log) => Ok(log.empty),
            Self::Redis(log) => log.empty(room).await,
        }
    }

    /// The back end may have lost the data of these partitions: this node asks again for the position of rooms without
    /// a log.
    pub fn may_be_lost(&self, partitions: PartitionSet) {
        if let Self::Redis(log) = self {
            log.may_be_lost(partitions);
        }
    }

    /// Reads at most `count` messages. `seen`, if given, is the newest position that the caller knows: if the log
    /// ends before it, the log has fallen back, and a new, later epoch begins.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn read(
        &self,
        room: &RoomName,
        range: Range,
        count: usize,
        seen: Option<Position>,
    ) -> Result<Page, Unavailable> {
        forward!(self.read(room, range, count, seen))
    }
}
