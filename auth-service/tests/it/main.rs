//! The auth service over real HTTP, on both databases, and the `users` port's promises on both.
//!
//! Postgres is taken from TEST_POSTGRES_URL; every test has a database of its own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod errors;
mod harness;
mod limits;
mod metrics;
mod outage;
mod processes;
mod readme;
mod starts;
mod timing;
mod tokens;
mod users;
