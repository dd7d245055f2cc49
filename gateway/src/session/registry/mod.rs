//! A node's lists of connections, and the state of its background work.
//!
//! Connections by session: [`connections`] · in no namespace: [`idle`] · with tokens to check soon: [`expiry`] ·
//! sessions that wait for their unread count: [`unread`] · that miss events for their user: [`behind`] · ended ones
//! that are not released yet: [`release_queue`] · limits on new ones: [`connection_limiter`] · turns of a crowd:
//! [`turnstile`] · all sockets of the cluster: [`roster`] · all users: [`census`] · the node's [`lease`] and
//! [`readiness`]. Deliberately does no work and does not know what a connection is: the work is in [`crate::node`].

mod behind;
pub(crate) mod census;
mod connection_limiter;
mod connections;
mod expiry;
mod idle;
mod lease;
mod readiness;
mod release_queue;
mod roster;
mod socket_data;
mod turnstile;
mod unread;

pub use self::readiness::Readiness;
pub(crate) use self::{
    behind::Behind,
    census::Census,
    connection_limiter::{ConnectionLimiter, LimitReached},
    connections::{Connections, Listed},
    expiry::Expiry,
    idle::{Idle, Idler},
    lease::Lease,
    readiness::ReadinessFlags,
    release_queue::{Ending, Release, ReleaseQueue},
    roster::{Roster, RosterView},
    socket_data::SocketData,
    turnstile::{NotPassed, Turnstile},
    unread::UnreadNotifier,
};
