//! The third-party servers of a cluster: how each is started here, and when it is ready.

pub mod nginx;
pub mod postgres;
pub mod prometheus;
pub mod redis;
