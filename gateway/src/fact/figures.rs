//! The counts of one hook's facts.

use jackfield_shared::metrics::Counter;

use super::courier::Verdict;
use crate::metrics;

/// See the module. The counters are in the order of [`metrics::FACT_OUTCOMES`].
pub(super) struct Figures(Vec<Counter>);

impl Figures {
    pub(super) fn new(hook: &str) -> Self {
        Self(metrics::FACTS.configured(hook))
    }

    pub(super) fn count(&self, verdict: Verdict) {
        self.add(
            match verdict {
                Verdict::Delivered => 0,
                Verdict::Retried => 1,
                Verdict::Dead => 2,
            },
            1,
        );
    }

    /// Facts were no longer kept when they were due, or are lost.
    pub(super) fn dropped(&self, count: u64, reset: bool, hook: &str) {
        if count > 0 {
            self.add(3, count);
            tracing::warn!(hook, count, "facts were dropped before their delivery: see `fact.max` and `fact.maxAge`");
        }
        if reset {
            tracing::warn!(hook, "Redis lost facts that it had recorded: some may be missing");
        }
    }

    fn add(&self, index: usize, count: u64) {
        if let Some(counter) = self.0.get(index) {
            counter.increment(count);
        }
    }
}
