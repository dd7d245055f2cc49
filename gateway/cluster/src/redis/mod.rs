//! The connections to Redis, the names of its keys, and what the ports over it share.
//!
//! - [`settings`]: `redis.…` · [`topology`]: the servers that they describe · [`target`]: one of them · [`tls`].
//! - [`connector`]: connections to one server ([`stream`], [`hello`], [`term`], [`sentinel`], [`report`]) · [`commands`]: one for
//!   commands · [`shared`]: the one for most commands · [`pool`]: those for long passes · [`wire`]: one for subscriptions,
//!   with [`frames`].
//! - [`server`]: one Redis that takes writes ([`counted`]) · [`routing`]: the partitions of each server · [`route`]: those
//!   of a Redis Cluster · [`link`]: all servers, each call to the one that has its partition · [`script`] · [`commit`]: writes that
//!   a replica or the disk must have · [`streams`]: reads logs · [`keys`].

mod commands;
pub(crate) mod commit;
pub(crate) mod connector;
mod counted;
#[cfg(test)]
mod fake;
pub(crate) mod frames;
mod hello;
pub(crate) mod keys;
pub(crate) mod link;
mod pool;
pub(crate) mod report;
mod route;
pub(crate) mod routing;
pub(crate) mod script;
mod sentinel;
pub(crate) mod server;
pub(crate) mod settings;
mod shared;
mod stream;
pub(crate) mod streams;
pub(crate) mod target;
mod term;
mod tls;
mod topology;
pub(crate) mod wire;
