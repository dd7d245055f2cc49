//! One node's background work, all of it: what happens without a client's packet or a backend's call.
//!
//! - [`heartbeat`]: the lease, registering again after its loss, and clearing up after dead nodes
//! - [`listen`]: messages from the bus · [`release`]: sessions and stays that ended · [`roster`]: the list of sockets
//! - [`unread`]: counts of unread notifications · [`drain`]: the shutdown
//! - [`sweep`]: connections that joined nothing, and tokens that expire · [`memory`]: memory that is not used any more
//!
//! Each is a task under the lifecycle's tracker that ends with its token.

mod drain;
mod heartbeat;
mod listen;
mod memory;
mod release;
mod report;
mod roster;
mod sweep;
mod unread;

use std::sync::Arc;

use jackfield_cluster::bus::BusEvent;
use tokio::sync::mpsc;

pub(crate) use self::report::Report;
use crate::session::Shared;

/// Starts all background work, until the lifecycle ends. When the lifecycle is leaving, the node drains, and then stops
/// it.
pub(crate) fn start(shared: &Arc<Shared>, events: mpsc::Receiver<BusEvent>) {
    let tasks = &shared.lifecycle;
    tasks.spawn(listen::listen(Arc::clone(shared), events));
    let heartbeat_task = tasks.spawn(heartbeat::heartbeat(Arc::clone(shared)));
    tasks.spawn(heartbeat::settle(Arc::clone(shared)));
    tasks.spawn(release::run(Arc::clone(shared), heartbeat_task));
    tasks.spawn(drain::drain(Arc::clone(shared)));
    tasks.spawn(unread::run(Arc::clone(shared)));
    shared.feeds.start(tasks);
    tasks.spawn(roster::run(Arc::clone(shared)));
    tasks.spawn(sweep::idle(Arc::clone(shared)));
    tasks.spawn(sweep::tokens(Arc::clone(shared)));
    tasks.spawn(memory::run(Arc::clone(shared)));
    tasks.spawn(Arc::clone(&shared.verifier).keep_fresh(tasks.stopping()));
}
