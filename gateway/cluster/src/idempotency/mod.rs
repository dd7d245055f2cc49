//! Port: idempotency keys, called names here: an operation runs once per name, cluster-wide.
//!
//! Guarantees, for [`KEPT_FOR`] from the first attempt under a name on: one attempt at a time runs, until its outcome
//! is reported or [`ATTEMPT`] has passed; once the reply is stored, every later attempt gets it; an attempt at another
//! operation gets [`Begun::Other`]. If the outcome is unknown, the next attempt runs under the same id, so that effects
//! keyed by that id still happen once. Deliberately does not know what the operation is.

pub(crate) mod memory;
pub(crate) mod redis;

use std::time::Duration;

use bytes::Bytes;

use crate::forward::forward;
use crate::{Unavailable, idempotency::memory::MemoryIdempotency, idempotency::redis::RedisIdempotency};

/// How long a name stands for the same operation, from the first attempt on.
pub const KEPT_FOR: Duration = Duration::from_mins(5);
/// How long an attempt that reports no outcome blocks the next one.
pub const ATTEMPT: Duration = Duration::from_secs(15);

/// An attempt at an operation.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The caller's name for the operation, unique among all callers.
    pub name: &'a str,
    /// Differs for another operation.
    pub fingerprint: &'a str,
    /// The operation's id, if this is the first attempt.
    pub id: &'a str,
}

/// The answer to an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Run the operation under this id, the first attempt's.
    Go(String),
    /// Another attempt is running.
    Running,
    /// The name belongs to another operation.
    Other,
    /// The operation is done, with this reply.
    Done(Bytes),
}

/// The port.
#[derive(Clone)]
pub enum Idempotency {
    /// Within one process.
    Memory(MemoryIdempotency),
    /// A hash per name in Redis.
    Redis(RedisIdempotency),
}

impl Idempotency {
    /// Begins an attempt. After [`Begun::Go`] the caller must report the outcome.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn begin(&self, attempt: Attempt<'_>) -> Result<Begun, Unavailable> {
        forward!(self.begin(attempt))
    }

    /// Reports that the operation is done, and stores the reply if the name is still kept.
    ///
    /// # Errors
    /// [`Unavailable`]: the reply may not have been stored.
    pub async fn done(&self, name: &str, reply: &Bytes) -> Result<(), Unavailable> {
        forward!(self.done(name, reply))
    }

    /// Reports that the operation failed, or that its outcome is unknown: the next attempt may run.
    ///
    /// # Errors
    /// [`Unavailable`]: the next attempt may run after [`ATTEMPT`].
    pub async fn failed(&self, name: &str) -> Result<(), Unavailable> {
        forward!(self.failed(name))
    }

    /// Reports that the operation was refused without effect: the name is free for any operation.
    ///
    /// # Errors
    /// [`Unavailable`]: the same operation may be retried after [`ATTEMPT`].
    pub async fn refused(&self, name: &str) -> Result<(), Unavailable> {
        forward!(self.refused(name))
    }
}
