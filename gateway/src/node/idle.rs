//! Connections that are in no namespace: closed after a while, in the order in which they came.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::Node;
use crate::client::Connection;

const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// See the module.
pub struct Idle {
    patience: Duration,
    /// All wait equally long, so that the first is the next. Bounded by the connections of that time.
    waiting: Mutex<VecDeque<(Instant, Weak<Connection>)>>,
}

impl Idle {
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, waiting: Mutex::default() }
    }

    /// Looks at this connection again when its time is over.
    pub fn watch(&self, connection: &Arc<Connection>) {
        let now = Instant::now();
        connection.idle_from(now);
        self.waiting.lock().push_back((now + self.patience, Arc::downgrade(connection)));
    }

    /// Whether a connection has been in no namespace for the whole time: it may have been in one in between, and then a
    /// last word may still be on its way.
    fn is_over(&self, connection: &Connection) -> bool {
        connection.idle_since().is_some_and(|since| since.elapsed() >= self.patience)
    }

    /// All connections that are in no namespace at this moment.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Connection>> {
        let waiting = self.waiting.lock();
        let there = waiting.iter().filter_map(|(_, connection)| connection.upgrade());
        there.filter(|connection| connection.is_idle()).collect()
    }

    fn due(&self) -> Vec<Arc<Connection>> {
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

pub(super) async fn sweep(node: Arc<Node>) {
    let stopping = node.lifecycle.stopping();
    while stopping.run_until_cancelled(tokio::time::sleep(SWEEP_EVERY)).await.is_some() {
        for connection in node.idle.due() {
            if node.idle.is_over(&connection) {
                connection.close();
            }
        }
    }
}
