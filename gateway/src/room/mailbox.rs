//! Inputs that wait for a worker, and the worker itself while it rests.
//!
//! No task waits for inputs: the caller whose input finds the worker at rest gets it, and lets it work until it rests
//! again. Guarantees: at most one caller has the worker at a time; inputs are handled in the order in which they were
//! put in; none is forgotten, as long as every caller that has the worker ends with [`Mailbox::rest`] or
//! [`Mailbox::close`]. Deliberately knows neither rooms nor tasks.

use std::collections::VecDeque;

use super::sync::{Mutex, Notify};

/// Limited inputs that may wait.
pub(super) const LIMIT: usize = 1_024;
/// Most inputs that are taken at once.
pub(super) const AT_ONCE: usize = 64;

/// See the module.
pub(super) struct Mailbox<W, I> {
    state: Mutex<State<W, I>>,
    /// An input was put in while the worker worked.
    arrived: Notify,
}

struct State<W, I> {
    waiting: VecDeque<I>,
    /// Boxed, because it moves with every input.
    worker: Place<Box<W>>,
}

enum Place<W> {
    Rests(W),
    Works,
    Closed,
}

/// Result of putting an input in.
pub(super) enum Put<W, I> {
    /// The worker rests: the caller has it now, and must let it work on this input.
    Start(Box<W>, I),
    /// The caller that has the worker will let it handle the input.
    Queued,
    /// A limited input, for which the queue has no room.
    Full,
    /// Closed for good.
    Closed,
}

impl<W, I> Mailbox<W, I> {
    /// A mailbox whose worker rests.
    pub(super) fn new(worker: W) -> Self {
        let state = State { waiting: VecDeque::new(), worker: Place::Rests(Box::new(worker)) };
        Self { state: Mutex::new(state), arrived: Notify::new() }
    }

    /// Puts an input in. A limited one is refused if [`LIMIT`] inputs wait. All others must be bounded by their callers.
    pub(super) fn put(&self, input: I, is_limited: bool) -> Put<W, I> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut state.worker, Place::Works) {
            Place::Rests(worker) => return Put::Start(worker, input),
            Place::Closed => {
                state.worker = Place::Closed;
                return Put::Closed;
            }
            Place::Works => {}
        }
        if is_limited && state.waiting.len() >= LIMIT {
            return Put::Full;
        }
        state.waiting.push_back(input);
        drop(state);
        self.arrived.notify_one();
        Put::Queued
    }

    /// The worker, if it rests.
    pub(super) fn take(&self) -> Option<Box<W>> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut state.worker, Place::Works) {
            Place::Rests(worker) => Some(worker),
            other => {
                state.worker = other;
                None
            }
        }
    }

    /// Moves the next inputs to `arrived`. Only for the caller that has the worker.
    pub(super) fn gather(&self, arrived: &mut Vec<I>) {
        self.state.lock().gather(arrived);
    }

    /// Lets the worker rest. Returns it if there is more to do: then the next inputs were moved to `arrived`, or `more`
    /// said so.
    pub(super) fn rest(&self, worker: Box<W>, arrived: &mut Vec<I>, more: impl FnOnce() -> bool) -> Option<Box<W>> {
        let mut state = self.state.lock();
        state.gather(arrived);
        if !arrived.is_empty() || more() {
            return Some(worker);
        }
        state.waiting = VecDeque::new();
        state.worker = Place::Rests(worker);
        None
    }

    /// Closes for good, unless inputs wait. Only for the caller that has the worker.
    pub(super) fn close(&self) -> bool {
        let mut state = self.state.lock();
        let closes = state.waiting.is_empty();
        if closes {
            state.worker = Place::Closed;
        }
        closes
    }

    /// Closes for good, and drops the inputs that wait.
    pub(super) fn fail(&self) {
        let mut state = self.state.lock();
        state.worker = Place::Closed;
        let dropped = std::mem::take(&mut state.waiting);
        // Outside of the lock: a dropped input may tell its sender.
        drop(state);
        drop(dropped);
    }

    /// Looks at the worker if it rests; `None` if it works. The default if it is closed.
    pub(super) fn look<T: Default>(&self, look: impl FnOnce(&mut W) -> T) -> Option<T> {
        match &mut self.state.lock().worker {
            Place::Rests(worker) => Some(look(worker)),
            Place::Works => None,
            Place::Closed => Some(T::default()),
        }
    }

    /// Waits until an input is put in while the worker works. May return without one.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }
}

impl<W, I> State<W, I> {
    fn gather(&mut self, arrived: &mut Vec<I>) {
        let count = self.waiting.len().min(AT_ONCE);
        arrived.extend(self.waiting.drain(..count));
    }
}
