//! The limits of one client address on this node: how fast it may connect, and how many of its connections may be
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

/// Most handshakes of one address that wait at the same time; further ones are refused at once.
const WAITING: usize = 1_024;

/// See the module. In use while a permit of it exists.
pub(crate) struct Address {
    rate: Rate,
    connects: Mutex<Bucket>,
    pending: AtomicUsize,
    waiting: AtomicUsize,
}

/// Permits one connection to be without a session. Released at most once, at the latest when it is dropped.
pub(crate) struct PendingPermit {
    address: Arc<Address>,
    held: AtomicBool,
}

/// Permits one handshake to wait, until it is dropped.
pub(crate) struct WaitPermit(Arc<Address>);

impl Address {
    /// An address without connections so far.
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        let connects = Mutex::new(Bucket::full(rate, now));
        Self { rate, connects, pending: AtomicUsize::new(0), waiting: AtomicUsize::new(0) }
    }

    /// Takes a connection from the rate, and a permit if fewer than `max` exist (0 for no limit). Takes both or nothing.
    ///
    /// # Errors
    /// The time to wait, if known: each refused caller gets a later one, so that all pass if they retry on time.
    pub(crate) fn admit(self: &Arc<Self>, max: usize, now: Instant) -> Result<Arc<PendingPermit>, Option<Duration>> {
        // The permit first, because it can be released again.
        let taken = self.pending.fetch_add(1, Ordering::AcqRel);
        let permit = Arc::new(PendingPermit { address: Arc::clone(self), held: AtomicBool::new(true) });
        if max > 0 && taken >= max {
            return Err(None);
        }
        self.connects.lock().take(self.rate, now).map_err(Some)?;
        Ok(permit)
    }

    /// A permit to wait; `None` if too many handshakes wait already.
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
    /// Releases the permit: the connection has a session now, or has closed.
    pub(crate) fn release(&self) {
        if self.held.swap(false, Ordering::AcqRel) {
            self.address.pending.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Releases the permit of a connection that was not admitted after all, and returns it to the rate.
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
    fn a_permit_is_released_once() {
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
        assert!(first.is_ok() && address.admit(1, now).is_err_and(|wait| wait.is_none()), "one permit");
        drop(first);
        assert!(address.admit(1, now).is_ok_and(|permit| {
            permit.undo();
            true
        }));
        assert!(address.admit(1, now).is_ok(), "an undone connection does not count");
        let wait = address.admit(1, now).err().flatten();
        assert!(wait.is_some_and(|wait| address.admit(1, now + wait).is_ok()), "two at once, then {wait:?}");
        assert_eq!(address.pending(), 0);
        assert!(!address.is_as_new(now) && address.is_as_new(now + Duration::from_mins(1)));
    }

    #[test]
    fn the_number_of_waiting_handshakes_is_bounded() {
        let address = Arc::new(Address::new(Rate::new(0, 1), Instant::now()));
        let permits: Vec<_> = (0..WAITING + 10).filter_map(|_| address.wait()).collect();
        assert_eq!(permits.len(), WAITING);
        drop(permits);
        assert!(address.wait().is_some());
    }
}
