//! All background work of a node: everything that neither a client's packet nor a backend's call starts.
//!
//! - [`heartbeat`]: the lease, re-registering after its loss, and cleaning up after dead nodes
//! - [`listen`]: messages from the bus · [`release`]: releases ended sessions and stays · [`roster`]: the list of
//!   sockets
//! - [`catch_up`]: events for users that sessions miss · [`unread`]: counts of unread notifications ·
//!   [`revocations`]: revoked tokens · [`emitters`]: what backends publish with Socket.IO's emitter
//! - [`drain`]: the shutdown · [`sweep`]: connections in no namespace, and tokens that expire · [`memory`]: unused memory
//!
//! Each is a tracked task that ends with the lifecycle.

mod catch_up;
mod drain;
mod emitters;
mod heartbeat;
mod listen;
mod memory;
mod release;
mod report;
mod revocations;
mod roster;
mod sweep;
mod unread;

use std::sync::Arc;

use jackfield_cluster::bus::BusEvents;

pub(crate) use self::report::Report;
use crate::{fact, session::Shared};

/// Starts all background work. It runs until the lifecycle stops; when the lifecycle is leaving, the node drains and
/// then stops it.
pub(crate) fn start(shared: &Arc<Shared>, events: BusEvents) {
    let tasks = &shared.lifecycle;
    tasks.spawn(listen::listen(Arc::clone(shared), events));
    let heartbeat_task = tasks.spawn(heartbeat::heartbeat(Arc::clone(shared)));
    tasks.spawn(heartbeat::settle(Arc::clone(shared)));
    tasks.spawn(release::run(Arc::clone(shared), heartbeat_task));
    tasks.spawn(drain::drain(Arc::clone(shared)));
    tasks.spawn(catch_up::run(Arc::clone(shared)));
    tasks.spawn(emitters::run(Arc::clone(shared)));
    tasks.spawn(unread::run(Arc::clone(shared)));
    tasks.spawn(revocations::run(Arc::clone(shared)));
    tasks.spawn(fact::run(Arc::clone(shared)));
    shared.feeds.start(tasks);
    tasks.spawn(roster::run(Arc::clone(shared)));
    tasks.spawn(sweep::idle(Arc::clone(shared)));
    tasks.spawn(sweep::tokens(Arc::clone(shared)));
    tasks.spawn(shared.rooms.clone().forget());
    tasks.spawn(memory::run(Arc::clone(shared)));
    tasks.spawn(Arc::clone(&shared.hooks).keep_fresh(tasks.stopping()));
    tasks.spawn(Arc::clone(&shared.verifier).keep_fresh(tasks.stopping()));
}
