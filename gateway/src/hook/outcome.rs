//! How calls end, and the count of it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use jackfield_shared::{metrics::Counter, time::now};
use parking_lot::Mutex;

use crate::metrics;

/// Shortest time between two log lines about failed calls of one hook.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// Most characters of an error that are kept.
const MAX_ERROR: usize = 256;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A usable answer with a 2xx status.
    Ok,
    /// 4xx.
    Rejected,
    /// Another status, such as 500 or a redirect, which is not followed.
    Failed,
    /// 502, 503 or 504.
    Unavailable,
    /// The answer came but cannot be used: no HTTP, too long, or not as the protocol has it.
    BadAnswer,
    /// No answer within the time.
    Timeout,
    /// No connection, or it broke before the answer was complete.
    Unreachable,
    /// Not sent: too many calls are open.
    TooMany,
    /// Not sent: the breaker is open.
    BreakerOpen,
    /// Given up: the client has left before it was admitted, or the node stops.
    Cancelled,
}

impl Outcome {
    /// In the order of [`metrics::HOOK_OUTCOMES`].
    pub(crate) const ALL: [Self; 10] = [
        Self::Ok,
        Self::Rejected,
        Self::Failed,
        Self::Unavailable,
        Self::BadAnswer,
        Self::Timeout,
        Self::Unreachable,
        Self::TooMany,
        Self::BreakerOpen,
        Self::Cancelled,
    ];

    /// The outcome that a status alone stands for.
    pub(super) fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Ok,
            400..=499 => Self::Rejected,
            502..=504 => Self::Unavailable,
            _ => Self::Failed,
        }
    }

    /// Its name in metrics and in `/v1/hooks`.
    pub(crate) fn name(self) -> &'static str {
        metrics::HOOK_OUTCOMES[self as usize]
    }

    /// Whether an operator should look at it.
    fn is_error(self) -> bool {
        !matches!(self, Self::Ok | Self::Rejected | Self::Cancelled)
    }
}

/// The counts of one hook since the start of the node.
pub(super) struct Tally {
    counts: [AtomicU64; Outcome::ALL.len()],
    counters: Vec<Counter>,
    errors: Mutex<Errors>,
}

#[derive(Default)]
struct Errors {
    last: Option<LastError>,
    logged: Option<Instant>,
    /// Not logged since.
    unlogged: u64,
}

/// The last error of a hook.
#[derive(Debug, Clone)]
pub(crate) struct LastError {
    pub(crate) at: DateTime<Utc>,
    pub(crate) outcome: Outcome,
    pub(crate) reason: String,
}

impl Tally {
    pub(super) fn new(hook: &str) -> Self {
        let counters = metrics::HOOK_CALLS.configured(hook);
        Self { counts: Default::default(), counters, errors: Mutex::default() }
    }

    /// Counts a call. An error is kept, and logged at most once in [`LOG_EVERY`].
    pub(super) fn add(&self, hook: &str, outcome: Outcome, reason: &str) {
        let index = outcome as usize;
        self.counts[index].fetch_add(1, Ordering::Relaxed);
        if let Some(counter) = self.counters.get(index) {
            counter.increment(1);
        }
        if !outcome.is_error() {
            return;
        }
        let reason: String = reason.chars().take(MAX_ERROR).collect();
        let mut errors = self.errors.lock();
        let now = now();
        if errors.logged.is_some_and(|at| now.saturating_duration_since(at) < LOG_EVERY) {
            errors.unlogged += 1;
        } else {
            let (outcome, more) = (outcome.name(), std::mem::take(&mut errors.unlogged));
            tracing::warn!(hook, outcome, reason, more, "a call of a hook failed");
            errors.logged = Some(now);
        }
        errors.last = Some(LastError { at: Utc::now(), outcome, reason });
    }

    /// The count of each outcome.
    pub(super) fn counts(&self) -> impl Iterator<Item = (Outcome, u64)> {
        Outcome::ALL.into_iter().map(|outcome| (outcome, self.counts[outcome as usize].load(Ordering::Relaxed)))
    }

    pub(super) fn last_error(&self) -> Option<LastError> {
        self.errors.lock().last.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_label() {
        assert_eq!(Outcome::ALL.len(), metrics::HOOK_OUTCOMES.len());
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index);
        }
        let named = |name| Outcome::ALL.into_iter().find(|outcome| outcome.name() == name);
        assert_eq!(named("bad_answer"), Some(Outcome::BadAnswer));
        assert_eq!(named("breaker_open"), Some(Outcome::BreakerOpen));
        assert_eq!(named("cancelled"), Some(Outcome::Cancelled));
    }

    #[test]
    fn statuses_stand_for_outcomes() {
        for (status, outcome) in [
            (200, Outcome::Ok),
            (204, Outcome::Ok),
            (101, Outcome::Failed),
            (302, Outcome::Failed),
            (404, Outcome::Rejected),
            (500, Outcome::Failed),
            (503, Outcome::Unavailable),
            (505, Outcome::Failed),
        ] {
            assert_eq!(Outcome::of_status(status), outcome, "{status}");
        }
    }

    #[test]
    fn the_last_error_is_kept_and_cut() {
        let tally = Tally::new("h");
        tally.add("h", Outcome::Ok, "");
        tally.add("h", Outcome::Rejected, "");
        assert!(tally.last_error().is_none());
        tally.add("h", Outcome::Timeout, &"x".repeat(1_000));
        let last = tally.last_error().unwrap();
        assert_eq!((last.outcome, last.reason.len()), (Outcome::Timeout, MAX_ERROR));
        let counts: Vec<u64> = tally.counts().map(|(_, count)| count).collect();
        assert_eq!(counts, [1, 1, 0, 0, 0, 1, 0, 0, 0, 0]);
    }
}
