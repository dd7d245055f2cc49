//! The servers of others that a cluster stands on: how each is started here, and when it is up.

pub mod nginx;
pub mod postgres;
pub mod prometheus;
pub mod redis;
