//! The queue of requests that wait for a turn: async requests join it, hashing threads serve it.
//!
//! Guarantees: fair per client address, see [`FairQueue`]; a request that ends while it waits leaves the queue, so
//! it costs no hash; a closed queue refuses new requests, and its threads end once it is empty.

use std::{
    net::IpAddr,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

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

/// Why a request cannot wait.
#[derive(Clone, Copy)]
pub(super) enum Refused {
    /// Too many requests wait already.
    Full(Full),
    /// The process is stopping.
    Closed,
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
        self.queue.lock().queue.remove(&self.client, self.ticket);
    }
}

impl TurnQueue {
    pub(super) fn new(per_address: usize, in_all: usize) -> Self {
        let state = State { queue: FairQueue::new(per_address, in_all), closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Whether a request of `client` could wait now.
    pub(super) fn check(&self, client: IpAddr) -> Result<(), Refused> {
        let state = self.lock();
        if state.closed { Err(Refused::Closed) } else { state.queue.check(&client).map_err(Refused::Full) }
    }

    /// Puts `waiter` into the queue.
    pub(super) fn join(&self, client: IpAddr, waiter: Waiter) -> Result<Place<'_>, Refused> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        let ticket = state.queue.push(client, waiter).map_err(Refused::Full)?;
        self.changed.notify_one();
        Ok(Place { queue: self, client, ticket })
    }

    /// Called by a thread: waits for the next request, at most for `timeout` if it is given.
    pub(super) fn next(&self, timeout: Option<Duration>) -> Next {
        let empty = |state: &mut State| state.queue.is_empty() && !state.closed;
        let state = self.lock();
        let mut state = match timeout {
            None => self.changed.wait_while(state, empty).unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => {
                let waited = self.changed.wait_timeout_while(state, timeout, empty);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        match state.queue.pop() {
            Some(waiter) => Next::Serve(waiter),
            None if state.closed => Next::Closed,
            None => Next::Idle,
        }
    }

    /// Refuses every later request to join.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lock().queue.len()
    }

    /// A panic never leaves the queue half changed, so a poisoned lock is safe to use.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
