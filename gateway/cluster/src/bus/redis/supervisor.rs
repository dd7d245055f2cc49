//! Keeps a listener for every server that has partitions, and tells the book of every change.

use std::sync::Arc;

use jackfield_shared::lifecycle::Lifecycle;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{
    book::Place,
    hub::{Ear, Hub},
    listener::Listener,
};
use crate::{
    partition::{PARTITIONS, Partition},
    redis::{routing::Routing, server::Server},
};

/// See the module.
pub(super) struct Supervisor {
    hub: Arc<Hub>,
    lifecycle: Lifecycle,
    running: Vec<Running>,
    /// The next listener's.
    next: Place,
}

struct Running {
    server: Arc<Server>,
    place: Place,
    stop: CancellationToken,
}

impl Supervisor {
    /// Starts the listeners, and follows the routing until the end.
    pub(super) fn start(hub: Arc<Hub>, mut routing: watch::Receiver<Arc<Routing>>, lifecycle: &Lifecycle) {
        let mut supervisor = Self { hub, lifecycle: lifecycle.clone(), running: Vec::new(), next: 0 };
        let first = Arc::clone(&routing.borrow_and_update());
        supervisor.follow(&first);
        let stop = lifecycle.stopping();
        lifecycle.spawn(async move {
            while let Some(Ok(())) = stop.run_until_cancelled(routing.changed()).await {
                let now = Arc::clone(&routing.borrow_and_update());
                supervisor.follow(&now);
            }
        });
    }

    fn follow(&mut self, routing: &Routing) {
        let servers: Vec<_> = routing.servers.iter().enumerate().collect();
        let used = |index: usize| !routing.partitions_of(index).is_empty();
        let wanted: Vec<_> = servers.into_iter().filter(|(index, _)| used(*index)).map(|(_, server)| server).collect();
        let (kept, ended): (Vec<_>, Vec<_>) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|running| wanted.iter().any(|server| Arc::ptr_eq(server, &running.server)));
        self.running = kept;
        let mut ears = self.hub.ears.lock().clone();
        for server in wanted {
            if !self.running.iter().any(|running| Arc::ptr_eq(&running.server, server)) {
                ears.push(self.begin(server));
            }
        }
        let place_of = |partition| {
            let server = routing.server(partition);
            self.running.iter().find(|running| Arc::ptr_eq(&running.server, server)).map(|running| running.place)
        };
        let mut of = [Place::MAX; PARTITIONS as usize];
        for partition in Partition::all() {
            // Every server with partitions has a listener.
            of[partition.index()] = place_of(partition).unwrap_or(Place::MAX);
        }
        {
            let mut book = self.hub.book.lock();
            book.route(of);
            ended.iter().for_each(|running| book.remove(running.place));
        }
        ended.iter().for_each(|running| running.stop.cancel());
        ears.retain(|ear| self.running.iter().any(|running| running.place == ear.place));
        *self.hub.ears.lock() = ears;
    }

    /// Starts a listener.
    fn begin(&mut self, server: &Arc<Server>) -> Ear {
        let place = self.next;
        self.next += 1;
        let wake = Arc::new(Notify::new());
        let last_probe = Arc::new(Mutex::new(None));
        self.hub.book.lock().add(place, Arc::clone(&wake));
        let ear = Ear { place, server: server.name.clone(), last_probe: Arc::clone(&last_probe) };
        let hub = Arc::clone(&self.hub);
        let stop = self.lifecycle.stopping().child_token();
        let listener = Listener { place, server: Arc::clone(server), hub, wake, last_probe };
        self.lifecycle.spawn(listener.run(stop.clone()));
        self.running.push(Running { server: Arc::clone(server), place, stop });
        ear
    }
}
