//! What a node keeps of its connections, and the state of its background work. Nothing here knows what a connection is,
//! or does any work: the work is in [`crate::node`].
//!
//! By session: [`connections`] · in no namespace: [`idle`] · by their tokens' expiry: [`expiry`] · waiting for their
//! unread count: [`unread`] · ended and not released yet: [`release_queue`] · new ones: [`connection_limiter`] · all
//! sockets of the cluster: [`roster`] · all users: [`census`] · the node's [`lease`] and [`readiness`].

pub(crate) mod census;
mod connection_limiter;
mod connections;
mod expiry;
mod idle;
mod lease;
mod readiness;
mod release_queue;
mod roster;
mod unread;

pub use self::readiness::Readiness;
pub(crate) use self::{
    census::Census,
    connection_limiter::{ConnectionLimiter, LimitReached},
    connections::Connections,
    expiry::Expiry,
    idle::{Idle, Idler},
    lease::Lease,
    readiness::ReadinessFlags,
    release_queue::ReleaseQueue,
    roster::{Roster, RosterView},
    unread::UnreadNotifier,
};
