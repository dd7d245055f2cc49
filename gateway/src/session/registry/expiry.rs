//! Connections whose tokens must be checked soon, by the Unix second of the check.
//!
//! Most checks are far away, and need no memory here: a connection knows the time of its own check, and the sweep over
//! all connections lists those that come near. Guarantee: a check is listed when its second comes, if
//! [`Expiry::watch`] was called for it and the caller obeys [`Expiry::advance`].

use std::collections::BTreeSet;

use jackfield_cluster::ids::SessionKey;
use parking_lot::Mutex;

/// Seconds for which checks are listed in advance.
const AHEAD: u64 = 120;

/// See the module. A connection that ends is removed.
#[derive(Default)]
pub(crate) struct Expiry {
    near: Mutex<Near>,
}

#[derive(Default)]
struct Near {
    /// Checks before this second are listed.
    until: u64,
    due: BTreeSet<(u64, SessionKey)>,
}

impl Expiry {
    /// Plans a check of this connection at this second, which the connection itself must know before. Hold the lock of
    /// the connection's state meanwhile, so that a concurrent sweep either sees the second or precedes this call.
    pub(crate) fn watch(&self, at: u64, connection: SessionKey) {
        let mut near = self.near.lock();
        if at < near.until {
            near.due.insert((at, connection));
        }
    }

    /// Cancels the check that is planned at this second.
    pub(crate) fn forget(&self, at: u64, connection: SessionKey) {
        self.near.lock().due.remove(&(at, connection));
    }

    /// Call it every second. If true, call [`Expiry::watch`] again for every connection: further checks have come near.
    pub(crate) fn advance(&self, now: u64) -> bool {
        let mut near = self.near.lock();
        let is_late = near.until < now + AHEAD / 2;
        if is_late {
            near.until = now + AHEAD;
        }
        is_late
    }

    /// Takes at most `max` connections that are due.
    pub(crate) fn take(&self, now: u64, max: usize) -> Vec<SessionKey> {
        let due = &mut self.near.lock().due;
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some((at, _)) = due.first()
            && *at <= now
        {
            taken.extend(due.pop_first().map(|(_, connection)| connection));
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        /// A connection opens, or its check moves, to so many seconds from now.
        Plan(u8, u64),
        End(u8),
        /// The clock moves, also by a jump; then comes a sweep.
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let plan = (any::<u8>(), prop_oneof![0..5_u64, 0..1_000_u64]);
        prop_oneof![
            3 => plan.prop_map(|(connection, wait)| Step::Plan(connection, wait)),
            1 => any::<u8>().prop_map(Step::End),
            4 => prop_oneof![8 => 1..3_u64, 1 => 1..500_u64].prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// In any order of events, a sweep takes the connections that are due, and only those.
        #[test]
        fn every_check_is_taken_in_its_second(steps in prop::collection::vec(step(), 1..300)) {
            let (expiry, mut planned, mut now) = (Expiry::default(), BTreeMap::new(), 1_000);
            let key = |connection: u8| SessionKey::from([connection; 15]);
            for step in steps {
                match step {
                    Step::Plan(connection, wait) => {
                        if let Some(at) = planned.insert(connection, now + wait) {
                            expiry.forget(at, key(connection));
                        }
                        expiry.watch(now + wait, key(connection));
                    }
                    Step::End(connection) => {
                        if let Some(at) = planned.remove(&connection) {
                            expiry.forget(at, key(connection));
                        }
                    }
                    Step::Wait(seconds) => {
                        now += seconds;
                        if expiry.advance(now) {
                            planned.iter().for_each(|(connection, at)| expiry.watch(*at, key(*connection)));
                        }
                        let mut taken = expiry.take(now, usize::MAX);
                        taken.sort_unstable();
                        let due = planned.extract_if(.., |_, at| *at <= now);
                        prop_assert_eq!(taken, due.map(|(connection, _)| key(connection)).collect::<Vec<_>>());
                    }
                }
                let far = planned.values().filter(|at| **at >= now + AHEAD).count();
                prop_assert!(expiry.near.lock().due.len() + far <= planned.len(), "a far check needs no memory");
            }
        }
    }
}
