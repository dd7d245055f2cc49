//! The limits on connecting: the number of connections, the rate of new ones, and the limits of each address and user.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jackfield_shared::time::now;
use parking_lot::Mutex;

use crate::{
    limits::{Address, Bucket, Kept, PendingPermit, Rate, User, UserLimits, WaitPermit},
    settings::Limits,
};

/// Most handshakes, of all addresses, that wait at the same time; each holds a few KB. Further ones are refused at
/// once.
const WAITING: usize = 8_192;

/// See the module.
pub(crate) struct ConnectionLimiter {
    open: AtomicUsize,
    /// The most connections open at the same time since [`ConnectionLimiter::take_peak`].
    peak: AtomicUsize,
    waiting: Arc<AtomicUsize>,
    connects: Mutex<Bucket>,
    addresses: Kept<IpAddr, Address>,
    users: Kept<Arc<str>, User>,
    of_a_user: Arc<UserLimits>,
}

impl ConnectionLimiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            open: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            waiting: Arc::default(),
            connects: Mutex::new(Bucket::full(node_rate(limits), now())),
            addresses: Kept::default(),
            users: Kept::default(),
            of_a_user: Arc::new(limits.user()),
        }
    }

    /// The limits of one address. Loopback addresses have no rate limit: a proxy, an operator or a test may open
    /// thousands of connections, and no stranger connects from there.
    pub(crate) fn address(&self, limits: &Limits, address: IpAddr) -> Arc<Address> {
        let now = now();
        let rate = if address.is_loopback() { Rate::new(0, 1) } else { limits.address_connects() };
        self.addresses.entry(address, now, || Address::new(rate, now))
    }

    /// The budgets of a user, shared by all of the user's connections.
    pub(crate) fn user(&self, user: &Arc<str>) -> Arc<User> {
        let now = now();
        self.users.entry(Arc::clone(user), now, || User::new(&self.of_a_user, now))
    }

    /// Drops some of the unused users and addresses whose limits are full again. Call it about once a second.
    pub(crate) fn sweep(&self) {
        let now = now();
        self.users.sweep(now);
        self.addresses.sweep(now);
    }

    /// Admits one more connection now, from this address if known. A refusal takes nothing from any limit. Concurrent
    /// calls may exceed `limits.connections` by their number.
    ///
    /// # Errors
    /// The limit that was reached.
    pub(crate) fn admit(
        &self,
        limits: &Limits,
        address: Option<&Arc<Address>>,
    ) -> Result<Option<Arc<PendingPermit>>, LimitReached> {
        let now = now();
        if limits.connections > 0 && self.count() >= limits.connections as usize {
            return Err(LimitReached::Node);
        }
        let admit = |address: &Arc<Address>| {
            address.admit(limits.address_pending as usize, now).map_err(|wait| LimitReached::Address { wait })
        };
        let permit = address.map(admit).transpose()?;
        if self.connects.lock().take(node_rate(limits), now).is_err() {
            if let Some(permit) = permit {
                permit.undo();
            }
            return Err(LimitReached::Node);
        }
        Ok(permit)
    }

    /// A permit for a handshake to wait, unless too many do.
    pub(crate) fn wait(&self, address: Option<&Arc<Address>>) -> Option<Waiting> {
        let before = self.waiting.fetch_add(1, Ordering::AcqRel);
        let mut waiting = Waiting { of_address: None, all: Arc::clone(&self.waiting) };
        if let Some(address) = address {
            waiting.of_address = Some(address.wait()?);
        }
        (before < WAITING).then_some(waiting)
    }

    /// How many connections are open.
    pub(crate) fn count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Counts a connection that has opened.
    pub(crate) fn opened(&self) {
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(open, Ordering::Relaxed);
    }

    /// The most connections that were open at the same time since this was last called.
    pub(crate) fn take_peak(&self) -> usize {
        self.peak.swap(self.count(), Ordering::Relaxed)
    }

    /// Counts a connection that has closed.
    pub(crate) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Permits a handshake to wait, until it is dropped.
pub(crate) struct Waiting {
    of_address: Option<WaitPermit>,
    all: Arc<AtomicUsize>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.all.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The limit that refused a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitReached {
    /// The node has too many connections, or too many new ones per second.
    Node,
    /// The address has too many connections without a session, or connects too fast.
    Address {
        /// Time after which it may be admitted, if known.
        wait: Option<Duration>,
    },
}

fn node_rate(limits: &Limits) -> Rate {
    Rate::new(limits.connect_rate, limits.connect_rate)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_limits_of_an_address_do_not_affect_others() {
        let limits = Limits { address_pending: 3, address_connect_burst: 5, ..Limits::default() };
        let limiter = ConnectionLimiter::new(&limits);
        let address = |text: &str| limiter.address(&limits, text.parse().unwrap());
        let (one, other, own) = (address("203.0.113.1"), address("203.0.113.2"), address("127.0.0.1"));
        let admit = |address: &Arc<Address>| limiter.admit(&limits, Some(address));
        let permits: Vec<_> = (0..10).filter_map(|_| admit(&one).ok()).collect();
        assert_eq!((permits.len(), admit(&one).err()), (3, Some(LimitReached::Address { wait: None })));
        assert!(admit(&other).is_ok() && limiter.admit(&limits, None).is_ok_and(|permit| permit.is_none()));
        drop(permits);
        assert_eq!((0..10).filter(|_| admit(&one).is_ok()).count(), 2, "five connects at once");
        assert!((0..100).all(|_| admit(&own).is_ok()), "loopback has no rate limit");
        let permits: Vec<_> = (0..10).filter_map(|_| admit(&own).ok()).collect();
        assert_eq!(permits.len(), 3, "loopback has a limit without a session");
    }

    #[test]
    fn the_number_of_waiting_handshakes_is_bounded() {
        let (limits, now) = (Limits::default(), Instant::now());
        let limiter = ConnectionLimiter::new(&limits);
        let address = limiter.addresses.entry([203, 0, 113, 1].into(), now, || Address::new(Rate::new(0, 1), now));
        let of_one: Vec<_> = (0..WAITING).map_while(|_| limiter.wait(Some(&address))).collect();
        assert!(of_one.len() < WAITING / 4, "{}", of_one.len());
        let of_others: Vec<_> = (0..WAITING).map_while(|_| limiter.wait(None)).collect();
        assert_eq!(of_one.len() + of_others.len(), WAITING);
        drop(of_one);
        assert!(limiter.wait(Some(&address)).is_some());
        drop(of_others);
        assert_eq!(limiter.waiting.load(Ordering::Acquire), 0);
    }

    #[test]
    fn a_refusal_by_the_node_takes_nothing_from_the_address() {
        let limits = Limits { connect_rate: 1, address_connect_burst: 2, ..Limits::default() };
        let limiter = ConnectionLimiter::new(&limits);
        let address = limiter.address(&limits, "203.0.113.1".parse().unwrap());
        assert!(limiter.admit(&limits, Some(&address)).is_ok());
        assert!((0..10).all(|_| limiter.admit(&limits, Some(&address)).err() == Some(LimitReached::Node)));
        let limits = Limits { connect_rate: 0, ..limits };
        assert!(limiter.admit(&limits, Some(&address)).is_ok());
    }
}
