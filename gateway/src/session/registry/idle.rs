//! Connections that are in no namespace, in the order in which their time limit ends.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

/// A connection that records since when it is in no namespace.
pub(crate) trait Idler {
    /// Records that the connection is in no namespace since `now`, or since an earlier time if it was in none already.
    /// True if the caller must add it to the list.
    fn idle_from(&self, now: Instant) -> bool;

    /// The connection was removed from the list.
    fn idle_unlisted(&self);

    /// Since when the connection is in no namespace; `None` while it is in one.
    fn idle_since(&self) -> Option<Instant>;
}

/// See the module.
pub(crate) struct Idle<C> {
    limit: Duration,
    /// In the order in which the time limits end. Each connection is listed once.
    waiting: Mutex<VecDeque<(Instant, Weak<C>)>>,
}

impl<C: Idler> Idle<C> {
    /// `limit`: how long a connection may be in no namespace.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, waiting: Mutex::default() }
    }

    /// Adds a connection to the list. A connection that was in no namespace already gets no new time limit.
    pub(crate) fn watch(&self, connection: &Arc<C>) {
        let now = Instant::now();
        if connection.idle_from(now) {
            self.waiting.lock().push_back((now + self.limit, Arc::downgrade(connection)));
        }
    }

    /// Whether a connection from [`Idle::due`] has been in no namespace for the whole time limit, so that the caller must
    /// close it. If it has been in one meanwhile, it is checked again later.
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
                // The connection may have left its last namespace just before.
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

    /// Takes the connections whose time limit has ended.
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
