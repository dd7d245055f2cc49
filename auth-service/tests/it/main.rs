//! The auth service over real HTTP, on both databases, and the promises of the ports on both.
//!
//! Every test has a database of its own, on Postgres in the server that `TEST_POSTGRES_URL` names.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod administration;
mod concurrency;
mod errors;
mod harness;
mod keys;
mod keys_command;
mod keys_of_services;
mod limits;
mod logins;
mod logout;
mod lost_list;
mod metrics;
mod outage;
mod password;
mod processes;
mod readme;
mod redis_away;
mod refresh;
mod rotation_load;
mod secrets;
mod starts;
mod timing;
mod tokens;
mod users;
