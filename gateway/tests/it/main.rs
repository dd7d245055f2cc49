//! The ports' contracts, each promise one case, run against the in-memory and the Redis version.

mod bus;
mod fixture;
mod membership;
mod presence;
mod sessions;
