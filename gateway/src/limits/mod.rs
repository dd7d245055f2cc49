//! Rate limits of users and addresses.
//!
//! - [`Bucket`]: the only mechanism, a token bucket that gives each refused caller its own time to retry
//! - [`Cost`]: the cost of received data, in events: more for many bytes
//! - [`Conduct`]: whether one connection respects the times to retry, or floods
//! - [`User`]: the budgets of one user, shared by all of the user's connections to this node
//! - [`Address`]: the budgets of one client address, and its connections without a session
//! - [`Kept`]: users and addresses by key; an entry is kept while it is in use or a budget is not full
//!
//! Guarantees: memory is bounded; nothing here waits or does I/O; time is an argument. Deliberately per node: a user or an
//! address with connections to n nodes has n budgets.

mod address;
mod conduct;
mod cost;
mod kept;
mod private;
mod user;

pub(crate) use self::{
    address::{Address, PendingPermit, WaitPermit},
    conduct::{Conduct, FloodLimits},
    cost::Cost,
    kept::Kept,
    user::{User, UserLimits},
};

use std::time::Duration;

pub(crate) use jackfield_shared::bucket::{Bucket, Rate};

/// Milliseconds, rounded up: a client that waits this long is not early.
pub(crate) fn millis_up(wait: Duration) -> u64 {
    u64::try_from(wait.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
}
