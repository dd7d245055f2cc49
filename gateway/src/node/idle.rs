//! Connections that are in no namespace: closed after a while, in the order in which their time is over.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::Node;
use crate::client::Connection;

const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Connections that are checked before the task yields.
const BATCH: usize = 256;

/// See the module.
pub struct Idle {
    patience: Duration,
    /// In the order in which their time is over. Each connection is here once.
    waiting: Mutex<VecDeque<(Instant, Weak<Connection>)>>,
}

impl Idle {
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, waiting: Mutex::default() }
    }

    /// Checks this connection when its time is over. A connection that was in no namespace before gets no more time.
    pub fn watch(&self, connection: &Arc<Connection>) {
        let now = Instant::now();
        if connection.idle_from(now) {
            self.waiting.lock().push_back((now + self.patience, Arc::downgrade(connection)));
        }
    }

    /// Closes a connection that has been in no namespace for the whole time. If it has been in one in between, it is
    /// checked again later.
    fn look(&self, connection: &Arc<Connection>) {
        match connection.idle_since() {
            Some(since) if since.elapsed() >= self.patience => connection.close(),
            Some(since) => {
                let at = since + self.patience;
                let mut waiting = self.waiting.lock();
                let place = waiting.partition_point(|(other, _)| *other <= at);
                waiting.insert(place, (at, Arc::downgrade(connection)));
            }
            None => {
                connection.idle_unlisted();
                // It may have left its last namespace just before.
                if connection.idle_since().is_some() {
                    self.watch(connection);
                }
            }
        }
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
        node.gate.sweep();
        for batch in node.idle.due().chunks(BATCH) {
            batch.iter().for_each(|connection| node.idle.look(connection));
            tokio::task::yield_now().await;
        }
    }
}
