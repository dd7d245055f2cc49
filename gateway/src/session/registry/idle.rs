//! Connections that are in no namespace, in the order in which their time is over.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

/// A connection, as far as being in no namespace goes.
pub(crate) trait Idler {
    /// The connection is in no namespace, unless it joins one: since `now`, unless it was in none before. True if the
    /// caller must put it on the list of such connections.
    fn idle_from(&self, now: Instant) -> bool;

    /// The connection is off the list of those in no namespace.
    fn idle_unlisted(&self);

    /// Since when the connection is in no namespace; `None` while it is in one.
    fn idle_since(&self) -> Option<Instant>;
}

/// See the module.
pub(crate) struct Idle<C> {
    limit: Duration,
    /// In the order in which their time is over. Each connection is here once.
    waiting: Mutex<VecDeque<(Instant, Weak<C>)>>,
}

impl<C: Idler> Idle<C> {
    /// A connection may be in no namespace for so long.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, waiting: Mutex::default() }
    }

    /// Checks this connection when its time is over. A connection that was in no namespace before gets no more time.
    pub(crate) fn watch(&self, connection: &Arc<C>) {
        let now = Instant::now();
        if connection.idle_from(now) {
            self.waiting.lock().push_back((now + self.limit, Arc::downgrade(connection)));
        }
    }

    /// Whether a connection from [`Idle::due`] has been in no namespace for the whole time, so that it has to be
    /// closed. If it has been in one in between, it is checked again later.
    pub(crate) fn is_expired(&self, connection: &Arc<C>) -> bool {
        match connection.idle_since() {
            Some(since) if since.elapsed() >= self.limit => return true,
            Some(since) => {
                let at = since + self.limit;
                let mut waiting = self.waiting.lock();
                let index = waiting.partition_point(|(other, _)| *other <= at);
                waiting.insert(index, (at, Arc::downgrade(connection)));
            }
            None => {
                connection.idle_unlisted();
                // It may have left its last namespace just before.
                if connection.idle_since().is_some() {
                    self.watch(connection);
                }
            }
        }
        false
    }

    /// All connections that are in no namespace at this moment.
    pub(crate) fn all(&self) -> Vec<Arc<C>> {
        let waiting = self.waiting.lock();
        let there = waiting.iter().filter_map(|(_, connection)| connection.upgrade());
        there.filter(|connection| connection.idle_since().is_some()).collect()
    }

    /// Takes the connections whose time is over.
    pub(crate) fn due(&self) -> Vec<Arc<C>> {
        let now = Instant::now();
        let mut waiting = self.waiting.lock();
        let due = waiting.iter().take_while(|(at, _)| *at <= now).count();
        let due = waiting.drain(..due).filter_map(|(_, connection)| connection.upgrade()).collect();
        if waiting.is_empty() {
            waiting.shrink_to_fit();
        }
        due
    }
}
