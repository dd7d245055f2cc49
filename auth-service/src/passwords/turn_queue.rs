//! The queue of requests that wait for a turn: async requests join it, hashing threads serve it.
//!
//! Guarantees: fair per client address, see [`FairQueue`]; a request that ends while it waits leaves the queue, so
//! it costs no hash; a closed queue refuses new requests, and its threads end once it is empty.

use std::{net::IpAddr, time::Duration};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::Turn;
use crate::fair_queue::{FairQueue, Full, Ticket};

type Waiter = oneshot::Sender<Turn>;

struct State {
    queue: FairQueue<IpAddr, Waiter>,
    closed: bool,
}

/// The waiting requests.
pub(super) struct TurnQueue {
    state: Mutex<State>,
    changed: Condvar,
}

/// The next step of a thread.
pub(super) enum Next {
    /// Give this one a turn.
    Serve(Waiter),
    /// No request came within the thread's timeout.
    Idle,
    /// The queue is closed and empty: end.
    Closed,
}

/// A place in the queue, given up when dropped.
pub(super) struct Place<'a> {
    queue: &'a TurnQueue,
    client: IpAddr,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.queue.state.lock().queue.remove(&self.client, self.ticket);
    }
}

impl TurnQueue {
    pub(super) fn new(per_address: usize, in_all: usize) -> Self {
        let state = State { queue: FairQueue::new(per_address, in_all), closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Whether a request of `client` could wait now. A closed queue is full for all.
    pub(super) fn check(&self, client: IpAddr) -> Result<(), Full> {
        let state = self.state.lock();
        if state.closed { Err(Full::All) } else { state.queue.check(&client) }
    }

    /// Puts `waiter` into the queue. A closed queue is full for all.
    pub(super) fn join(&self, client: IpAddr, waiter: Waiter) -> Result<Place<'_>, Full> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Full::All);
        }
        let ticket = state.queue.push(client, waiter)?;
        self.changed.notify_one();
        Ok(Place { queue: self, client, ticket })
    }

    /// Called by a thread: waits for the next request, at most for `timeout` if it is given.
    pub(super) fn next(&self, timeout: Option<Duration>) -> Next {
        let empty = |state: &mut State| state.queue.is_empty() && !state.closed;
        let mut state = self.state.lock();
        match timeout {
            None => self.changed.wait_while(&mut state, empty),
            Some(timeout) => drop(self.changed.wait_while_for(&mut state, empty, timeout)),
        }
        match state.queue.pop() {
            Some(waiter) => Next::Serve(waiter),
            None if state.closed => Next::Closed,
            None => Next::Idle,
        }
    }

    /// Refuses every later request to join.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.state.lock().queue.len()
    }
}
