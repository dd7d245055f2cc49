//! Checks connections that are behind or being closed, once a second.
//!
//! Guarantees: a connection with more than [`BEHIND`] bytes waiting is closed as too slow if the
//! client does not read the bytes queued so far within `limits.queueAge`; the transport of a closed WebSocket is torn
//! down if writing the rest of its queue takes longer than [`CLOSE_WITHIN`]. So a client that reads slowly, or not at
//! all, cannot keep its queue in memory. Idle connections cost nothing here.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// A connection with more than this many bytes waiting is watched.
pub(crate) const BEHIND: u64 = 64 * 1024;
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// How long a closed transport may take to write the rest of its queue.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// Connections that are checked before the task yields.
const BATCH: usize = 1_024;

/// A connection that can be watched.
pub(crate) trait Watched: Send + Sync {
    /// Its transport has ended.
    fn is_ended(&self) -> bool;
    /// Bytes queued and bytes written since the connection's start.
    fn totals(&self) -> (u64, u64);
    /// The connection is no longer behind.
    fn caught_up(&self);
    /// Closes the connection, because the client reads too slowly.
    fn too_slow(&self);
    /// Tears the transport down.
    fn tear_down(&self);
}

/// See the module. Bounded by the connections: each is listed once for being behind and once for each close.
pub(crate) struct Stragglers<W>(Mutex<Vec<Straggler<W>>>);

struct Straggler<W> {
    connection: Weak<W>,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Behind(Mark),
    Closing { since: Instant },
}

/// A position in the queue that must be written in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    /// Bytes queued since the connection's start.
    at: u64,
    since: Instant,
}

impl Mark {
    /// The next mark, after this much was queued and written: a new one if this was reached, `None` if this is overdue.
    fn advance(self, queued: u64, written: u64, now: Instant, max: Duration) -> Option<Self> {
        match written >= self.at {
            true => Some(Self { at: queued, since: now }),
            false if !max.is_zero() && now.duration_since(self.since) > max => None,
            false => Some(self),
        }
    }
}

impl<W> Default for Stragglers<W> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<W: Watched> Stragglers<W> {
    /// Watches a connection with more than [`BEHIND`] bytes waiting, after `queued` bytes since its start.
    pub(crate) fn behind(&self, connection: &Arc<W>, queued: u64) {
        self.push(connection, State::Behind(Mark { at: queued, since: Instant::now() }));
    }

    /// Watches a transport that is being closed.
    pub(crate) fn closing(&self, connection: &Arc<W>) {
        self.push(connection, State::Closing { since: Instant::now() });
    }

    fn push(&self, connection: &Arc<W>, state: State) {
        self.0.lock().push(Straggler { connection: Arc::downgrade(connection), state });
    }

    /// Checks all connections until `stop`; a `queue_age` of zero means no limit.
    pub(crate) async fn watch(&self, queue_age: Duration, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(CHECK_EVERY)).await.is_some() {
            let mut stragglers = std::mem::take(&mut *self.0.lock());
            let now = Instant::now();
            for batch in stragglers.chunks_mut(BATCH) {
                batch.iter_mut().for_each(|straggler| straggler.check(now, queue_age));
                tokio::task::yield_now().await;
            }
            stragglers.retain(|straggler| straggler.connection.strong_count() > 0);
            self.0.lock().append(&mut stragglers);
        }
    }
}

impl<W: Watched> Straggler<W> {
    /// Checks the connection. Drops it once it need not be watched any more.
    fn check(&mut self, now: Instant, queue_age: Duration) {
        let Some(connection) = self.connection.upgrade().filter(|connection| !connection.is_ended()) else {
            return self.connection = Weak::new();
        };
        match &mut self.state {
            State::Closing { since } => {
                if now.duration_since(*since) > CLOSE_WITHIN {
                    connection.tear_down();
                    self.connection = Weak::new();
                }
            }
            State::Behind(mark) => {
                let (queued, written) = connection.totals();
                if queued.saturating_sub(written) <= BEHIND / 2 {
                    connection.caught_up();
                    self.connection = Weak::new();
                    return;
                }
                match mark.advance(queued, written, now, queue_age) {
                    Some(next) => *mark = next,
                    None => {
                        connection.too_slow();
                        self.connection = Weak::new();
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_overdue_if_it_is_not_reached_in_time() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let max = Duration::from_secs(20);
        let mark = Mark { at: 100, since: start };
        assert_eq!(mark.advance(150, 99, after(20), max), Some(mark));
        assert_eq!(mark.advance(150, 99, after(21), max), None);
        assert_eq!(mark.advance(150, 99, after(1_000), Duration::ZERO), Some(mark));
        assert_eq!(mark.advance(150, 100, after(21), max), Some(Mark { at: 150, since: after(21) }));
    }
}
