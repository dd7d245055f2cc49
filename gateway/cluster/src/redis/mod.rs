//! The connections to Redis, the names of its keys, and what the ports over it share.
//!
//! [`settings`]: `redis.…` · [`topology`]: the servers that they describe · [`target`]: one server · [`tls`] ·
//! [`connector`]: connections to it ([`stream`], [`hello`], [`sentinel`], [`report`]) · [`commands`]: one for commands ·
//! [`shared`]: the one for most commands · [`pool`]: those for long passes · [`link`]: commands and scripts with a deadline, logged and counted · [`streams`]: reads logs ·
//! [`keys`].

mod commands;
pub(crate) mod connector;
mod hello;
pub(crate) mod keys;
pub(crate) mod link;
mod pool;
mod report;
mod sentinel;
pub(crate) mod settings;
mod shared;
mod stream;
pub(crate) mod streams;
pub(crate) mod target;
mod tls;
mod topology;
