//! The ports' contracts: each guarantee is one case, which runs against the in-memory and the Redis version.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "tests may fail loudly")]

mod added_redis;
mod bus;
mod connects;
mod direct;
mod durability;
mod durability_failovers;
mod facts;
mod facts_property;
mod failover;
mod fixture;
mod heard_again;
mod idempotency;
mod inbox;
mod inbox_property;
mod log;
mod membership;
mod presence;
mod recovery;
mod redis_cluster;
mod revocations;
mod servers;
mod sessions;
mod topologies;
mod user_log;
