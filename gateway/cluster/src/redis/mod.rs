//! The connections to Redis, the names of its keys, and what the ports over it share.
//!
//! [`settings`]: `redis.…` · [`target`]: the address and login · [`connector`]: one connection · [`shared`]: the one for
//! most commands · [`link`]: commands and scripts with a deadline, logged and counted · [`commit`]: writes
//! that a replica or the disk must have · [`streams`]: reads logs ·
//! [`keys`].

pub(crate) mod commit;
pub(crate) mod connector;
pub(crate) mod keys;
pub(crate) mod link;
pub(crate) mod settings;
mod shared;
pub(crate) mod streams;
pub(crate) mod target;
