//! Port: revocations of tokens before they expire, and what else is to hold for tokens that were issued already: whether
//! their users are active, and their users' roles.
//!
//! A list that all nodes copy. Each entry has a subject; a later entry of the same subject replaces the earlier one, and
//! an entry is over once all tokens that it is about have expired.
//!
//! Guarantees: entries are numbered without holes; recording and sending them to all nodes, as
//! [`BusMessage::Revoked`](crate::wire::BusMessage::Revoked) on [`Channel::Revocations`](crate::bus::Channel::Revocations),
//! is one step. A node that has read everything up to a position reads what was recorded since; if the back end lost
//! entries, a new epoch has begun, and the node reads all of them. At most [`MAX`] entries are kept. Deliberately knows
//! neither tokens nor sockets.

pub(crate) mod entry;
pub(crate) mod memory;
pub(crate) mod redis;

pub use self::entry::{About, Entry};
use crate::{
    Unavailable,
    forward::forward,
    log::Position,
    revocations::{memory::MemoryRevocations, redis::RedisRevocations},
};

/// Most entries. About 100 MB in Redis, and 50 MB on each node.
pub const MAX: usize = 250_000;
/// Entries in one message, and on one page.
pub const BATCH: usize = 256;

/// Why nothing, or not everything, was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// See [`Unavailable`]: some entries may have been recorded. Recording them again does no harm.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// There are [`MAX`] entries.
    #[error("the list of revocations is full")]
    Full,
}

/// A part of the list, in the order of recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Entries with their numbers. Those that were replaced since are not here.
    pub entries: Vec<(u64, Entry)>,
    /// The position after this page.
    pub position: Position,
    /// It is the last page.
    pub is_last: bool,
}

/// The port.
#[derive(Clone)]
pub enum Revocations {
    /// Within one process.
    Memory(MemoryRevocations),
    /// A list in Redis.
    Redis(RedisRevocations),
}

impl Revocations {
    /// Records entries, and sends them to all nodes.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn record(&self, entries: &[Entry]) -> Result<(), RecordError> {
        for batch in entries.chunks(BATCH) {
            forward!(self.record(batch, false))?;
        }
        Ok(())
    }

    /// Records entries that the back end has lost: those whose subjects have no entry now.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn restore(&self, entries: &[Entry]) -> Result<(), RecordError> {
        for batch in entries.chunks(BATCH) {
            forward!(self.record(batch, true))?;
        }
        Ok(())
    }

    /// The next page after a position; the first one for `None`, or if the position is of another epoch.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn read(&self, after: Option<Position>) -> Result<Page, Unavailable> {
        forward!(self.read(after))
    }

    /// Whether the back end answers.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn check(&self) -> Result<(), Unavailable> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Redis(revocations) => revocations.check().await,
        }
    }
}
