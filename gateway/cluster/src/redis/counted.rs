//! Counts the calls to one server. Its name comes from the configuration, or from the map of a Redis Cluster: so the number
//! of series is bounded.

use jackfield_shared::metrics::Counter;

use crate::metrics::REDIS_SERVER_CALLS;

/// See the module.
pub(super) struct Counted {
    answered: Counter,
    failed: Counter,
}

impl Counted {
    pub(super) fn of(server: &str) -> Self {
        let mut counters = REDIS_SERVER_CALLS.configured(server).into_iter();
        let mut next = || counters.next().unwrap_or_else(Counter::noop);
        Self { answered: next(), failed: next() }
    }

    /// A call begins. If it is given up, it counts as failed.
    pub(super) fn begin(&self) -> Counting<'_> {
        Counting { counted: self, has_ended: false }
    }
}

/// One call.
pub(super) struct Counting<'a> {
    counted: &'a Counted,
    has_ended: bool,
}

impl Counting<'_> {
    pub(super) fn end(mut self, has_failed: bool) {
        self.has_ended = true;
        if has_failed { self.counted.failed.increment(1) } else { self.counted.answered.increment(1) }
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.counted.failed.increment(1);
        }
    }
}
