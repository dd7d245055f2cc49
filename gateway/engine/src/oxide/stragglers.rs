//! Connections that are behind or being closed, checked once a second.
//!
//! Guarantees: a connection with more than [`BEHIND`](super::wire::BEHIND) bytes waiting is closed as too slow if it
//! does not take the bytes queued so far within `limits.queueAge`; the transport of a closed WebSocket is torn down if
//! it takes longer than [`CLOSE_WITHIN`] to write the rest of its queue. So neither a client that reads a few bytes a
//! second nor one that reads nothing keeps its queue in memory. Idle connections cost nothing here.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use engineioxide::Socket;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{socket_data::SocketData, wire::BEHIND};
use crate::CloseReason;

const CHECK_EVERY: Duration = Duration::from_secs(1);
/// How long a closed transport may take to write the rest of its queue.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// Connections that are checked before the task yields.
const BATCH: usize = 1_024;

/// See the module. Bounded by the connections: each is listed once for being behind and once for each close.
#[derive(Default)]
pub(super) struct Stragglers(Mutex<Vec<Straggler>>);

struct Straggler {
    socket: Weak<Socket<SocketData>>,
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
    /// The mark after this much was queued and written: moved on if it was reached, `None` if it is overdue.
    fn advance(self, queued: u64, written: u64, now: Instant, max: Duration) -> Option<Self> {
        match written >= self.at {
            true => Some(Self { at: queued, since: now }),
            false if !max.is_zero() && now.duration_since(self.since) > max => None,
            false => Some(self),
        }
    }
}

impl Stragglers {
    /// Watches a connection with more than [`BEHIND`] bytes waiting, after `queued` bytes since its start.
    pub(super) fn behind(&self, socket: &Arc<Socket<SocketData>>, queued: u64) {
        self.push(socket, State::Behind(Mark { at: queued, since: Instant::now() }));
    }

    /// Watches a transport that is being closed.
    pub(super) fn closing(&self, socket: &Arc<Socket<SocketData>>) {
        self.push(socket, State::Closing { since: Instant::now() });
    }

    fn push(&self, socket: &Arc<Socket<SocketData>>, state: State) {
        self.0.lock().push(Straggler { socket: Arc::downgrade(socket), state });
    }

    /// Checks all connections until `stop`; a `queue_age` of zero means no limit.
    pub(super) async fn watch(&self, queue_age: Duration, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(CHECK_EVERY)).await.is_some() {
            let mut stragglers = std::mem::take(&mut *self.0.lock());
            let now = Instant::now();
            for batch in stragglers.chunks_mut(BATCH) {
                batch.iter_mut().for_each(|straggler| straggler.check(now, queue_age));
                tokio::task::yield_now().await;
            }
            stragglers.retain(|straggler| straggler.socket.strong_count() > 0);
            self.0.lock().append(&mut stragglers);
        }
    }
}

impl Straggler {
    /// Checks the connection. Forgets its socket once it need not be watched any more.
    fn check(&mut self, now: Instant, queue_age: Duration) {
        let Some(socket) = self.socket.upgrade().filter(|socket| !socket.is_closed()) else {
            return self.socket = Weak::new();
        };
        let Some(wire) = socket.data.wire() else { return };
        match &mut self.state {
            State::Closing { since } => {
                if now.duration_since(*since) > CLOSE_WITHIN {
                    wire.abort();
                    self.socket = Weak::new();
                }
            }
            State::Behind(mark) => {
                let (queued, written) = wire.totals();
                if queued.saturating_sub(written) <= BEHIND / 2 {
                    wire.end_watch();
                    self.socket = Weak::new();
                    return;
                }
                match mark.advance(queued, written, now, queue_age) {
                    Some(next) => *mark = next,
                    None => {
                        socket.data.abort(&socket, CloseReason::TooSlow);
                        self.socket = Weak::new();
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
    fn a_mark_is_overdue_where_it_was_not_reached_in_time() {
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
