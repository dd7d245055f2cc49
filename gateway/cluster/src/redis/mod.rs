//! The connections to Redis, the names of its keys, and what the ports over it share.
//!
//! [`settings`]: `redis.…` · [`target`]: the address and login · [`connector`]: one connection · [`shared`]: the one for
//! most commands · [`server`]: one Redis: commands and scripts with a deadline, logged and counted · [`script`] ·
//! [`routing`]: the partitions of each server · [`link`]: all servers, each call to the one that has its partition ·
//! [`commit`]: writes that a replica or the disk must have · [`streams`]: reads logs · [`keys`].

pub(crate) mod commit;
pub(crate) mod connector;
pub(crate) mod keys;
pub(crate) mod link;
pub(crate) mod routing;
pub(crate) mod script;
pub(crate) mod server;
pub(crate) mod settings;
mod shared;
pub(crate) mod streams;
pub(crate) mod target;
