//! The budgets of one client address on this node: how fast it may connect, and how many of its connections may be
//! without a session.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{Bucket, Rate, kept::Keep};

/// Handshakes of one address that wait at the same time; further ones are refused at once.
const WAITING: usize = 1_024;

/// See the module. In use while a place or a turn to wait is held.
pub(crate) struct Address {
    rate: Rate,
    connects: Mutex<Bucket>,
    pending: AtomicUsize,
    waiting: AtomicUsize,
}

/// One connection's place among those without a session. Released at most once, at the latest when it is dropped.
pub(crate) struct PendingPermit {
    address: Arc<Address>,
    held: AtomicBool,
}

/// A handshake's turn to wait.
pub(crate) struct WaitPermit(Arc<Address>);

impl Address {
    /// An address from which nobody has connected yet.
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        let connects = Mutex::new(Bucket::full(rate, now));
        Self { rate, connects, pending: AtomicUsize::new(0), waiting: AtomicUsize::new(0) }
    }

    /// Takes a connection and a place for it, if fewer than `max` are taken (0 for any number). Takes nothing unless
    /// it gets both.
    ///
    /// # Errors
    /// The time to wait, if known: each refused caller gets a later one, so that all can pass if they retry on time.
    pub(crate) fn admit(self: &Arc<Self>, max: usize, now: Instant) -> Result<Arc<PendingPermit>, Option<Duration>> {
        // The place first, because it can be released again.
        let taken = self.pending.fetch_add(1, Ordering::AcqRel);
        let permit = Arc::new(PendingPermit { address: Arc::clone(self), held: AtomicBool::new(true) });
        if max > 0 && taken >= max {
            return Err(None);
        }
        self.connects.lock().take(self.rate, now).map_err(Some)?;
        Ok(permit)
    }

    /// A turn to wait; `None` if too many handshakes wait already.
    pub(crate) fn wait(self: &Arc<Self>) -> Option<WaitPermit> {
        let waiting = self.waiting.fetch_add(1, Ordering::AcqRel);
        let permit = WaitPermit(Arc::clone(self));
        (waiting < WAITING).then_some(permit)
    }

    /// Connections without a session.
    #[cfg(test)]
    fn pending(&self) -> usize {
        self.pending.load(Ordering::Acquire)
    }
}

impl Keep for Address {
    fn is_as_new(&self, now: Instant) -> bool {
        self.connects.lock().is_full(self.rate, now)
    }
}

impl PendingPermit {
    /// Releases the place: the connection has a session now, or is gone.
    pub(crate) fn release(&self) {
        if self.held.swap(false, Ordering::AcqRel) {
            self.address.pending.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// The connection was not made after all: it does not count against the rate, either.
    pub(crate) fn undo(&self) {
        self.address.connects.lock().put_back(self.address.rate);
        self.release();
    }
}

impl Drop for PendingPermit {
    fn drop(&mut self) {
        self.release();
    }
}

impl Drop for WaitPermit {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back_once() {
        let now = Instant::now();
        let address = Arc::new(Address::new(Rate::new(0, 1), now));
        let permits: Vec<_> = (0..3).filter_map(|_| address.admit(2, now).ok()).collect();
        assert_eq!((permits.len(), address.pending()), (2, 2));
        permits[0].release();
        permits[0].release();
        assert_eq!(address.pending(), 1);
        let another = address.admit(2, now);
        assert!(another.is_ok());
        drop((permits, another));
        assert_eq!(address.pending(), 0);
    }

    #[test]
    fn a_refused_connection_takes_nothing() {
        let now = Instant::now();
        let address = Arc::new(Address::new(Rate::new(1, 2), now));
        let first = address.admit(1, now);
        assert!(first.is_ok() && address.admit(1, now).is_err_and(|wait| wait.is_none()), "one place");
        drop(first);
        assert!(address.admit(1, now).is_ok_and(|permit| {
            permit.undo();
            true
        }));
        assert!(address.admit(1, now).is_ok(), "what was undone is there again");
        let wait = address.admit(1, now).err().flatten();
        assert!(wait.is_some_and(|wait| address.admit(1, now + wait).is_ok()), "two at once, then {wait:?}");
        assert_eq!(address.pending(), 0);
        assert!(!address.is_as_new(now) && address.is_as_new(now + Duration::from_mins(1)));
    }

    #[test]
    fn few_wait() {
        let address = Arc::new(Address::new(Rate::new(0, 1), Instant::now()));
        let permits: Vec<_> = (0..WAITING + 10).filter_map(|_| address.wait()).collect();
        assert_eq!(permits.len(), WAITING);
        drop(permits);
        assert!(address.wait().is_some());
    }
}
