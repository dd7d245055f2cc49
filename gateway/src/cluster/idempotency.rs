//! Port: what an operation's caller named, so that it is done once however often it is asked for.
//!
//! Guarantees: over the whole cluster one caller at a time is told to go ahead with a name; once the reply is kept, everybody
//! who comes with that name gets it for [`KEPT_FOR`]; who comes with the same name for something else is told so. Where
//! it is not known how an attempt ended the next one goes ahead under the same id, so that what keys on the id is still
//! done once. Deliberately does not know what the operation is.

use std::time::Duration;

use bytes::Bytes;

use super::{Unavailable, idempotency_memory::MemoryIdempotency, idempotency_redis::RedisIdempotency};

/// How long a name means the same operation.
pub const KEPT_FOR: Duration = Duration::from_mins(5);
/// How long others wait for an attempt of which nothing is heard.
pub const ATTEMPT: Duration = Duration::from_secs(15);

/// What somebody wants to do.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The caller's name for it, unique among all callers.
    pub name: &'a str,
    /// Differs where it is another thing.
    pub fingerprint: &'a str,
    /// The operation's id, where this is the first attempt.
    pub id: &'a str,
}

/// What is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Go ahead, under this id: the first attempt's.
    Go(String),
    /// Somebody is at it.
    Running,
    /// The name stands for something else.
    Other,
    /// It was done: this is the reply.
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
    /// Asks whether to go ahead. Who is told [`Begun::Go`] says how it went.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn begin(&self, attempt: Attempt<'_>) -> Result<Begun, Unavailable> {
        match self {
            Self::Memory(names) => names.begin(attempt),
            Self::Redis(names) => names.begin(attempt).await,
        }
    }

    /// It was done: the reply is kept.
    ///
    /// # Errors
    /// [`Unavailable`] when it may not have been kept.
    pub async fn done(&self, name: &str, reply: &Bytes) -> Result<(), Unavailable> {
        match self {
            Self::Memory(names) => names.done(name, reply),
            Self::Redis(names) => names.done(name, reply).await,
        }
    }

    /// It was not done, or nobody knows: the next attempt may go ahead.
    ///
    /// # Errors
    /// [`Unavailable`]; then the next attempt may go ahead after [`ATTEMPT`].
    pub async fn failed(&self, name: &str) -> Result<(), Unavailable> {
        match self {
            Self::Memory(names) => names.failed(name),
            Self::Redis(names) => names.failed(name).await,
        }
    }

    /// It was refused, and nothing was done: the name is free for anything.
    ///
    /// # Errors
    /// [`Unavailable`]; then the same may be tried again after [`ATTEMPT`].
    pub async fn refused(&self, name: &str) -> Result<(), Unavailable> {
        match self {
            Self::Memory(names) => names.refused(name),
            Self::Redis(names) => names.refused(name).await,
        }
    }
}
