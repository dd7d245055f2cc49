//! A token bucket that gives each refused caller its own time to retry. Pure: the time is an argument.
//!
//! Guarantees: in any period no more tokens are taken than the burst and what that period earns, debts included; a
//! caller that waits as long as the error says is not refused for being early. [`crate::rate_limit`] keeps one for each
//! key.

use std::time::{Duration, Instant};

/// Longest wait that other waiting callers can cause.
const LONGEST_LINE: Duration = Duration::from_mins(1);
/// A debt is paid off within this time, unless the rate keeps debts in full.
const LONGEST_DEBT_SECS: f64 = 60.0;
const HOUR: Duration = Duration::from_hours(1);
/// The most that rounding takes from a token that was earned in full.
const ROUNDING: f64 = 1e-6;

/// How fast a bucket fills, how much it holds, and how deep its debt may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    per_second: f64,
    burst: f64,
    debt: f64,
}

impl Rate {
    /// `per_second` tokens a second, and `burst` (at least 1) at once. A rate of 0 means no limit. A debt is paid off
    /// within a minute.
    #[must_use]
    pub const fn new(per_second: u32, burst: u32) -> Self {
        let burst = if burst == 0 { 1 } else { burst };
        Self { per_second: per_second as f64, burst: burst as f64, debt: LONGEST_DEBT_SECS * per_second as f64 }
    }

    /// `count` tokens at once, and as many again in the course of `window`, evenly. 0 means no limit. Debts are kept in
    /// full.
    #[must_use]
    pub fn per_window(count: u32, window: Duration) -> Self {
        // An empty window would earn without end.
        let seconds = window.max(Duration::from_nanos(1)).as_secs_f64();
        Self { per_second: f64::from(count) / seconds, burst: f64::from(count.max(1)), debt: f64::INFINITY }
    }

    /// `count` tokens at once, and as many again in the course of an hour. 0 means no limit. A debt is paid off within
    /// a minute.
    #[must_use]
    pub fn hourly(count: u32) -> Self {
        let rate = Self::per_window(count, HOUR);
        Self { debt: LONGEST_DEBT_SECS * rate.per_second, ..rate }
    }

    /// Rate, burst and debt, multiplied by `factor`.
    #[must_use]
    pub fn times(self, factor: u32) -> Self {
        let factor = f64::from(factor);
        Self { per_second: self.per_second * factor, burst: self.burst * factor, debt: self.debt * factor }
    }

    /// The smaller rate, the smaller burst and the smaller debt of the two; no limit if either has none.
    #[must_use]
    pub fn at_most(self, other: Self) -> Self {
        Self {
            per_second: self.per_second.min(other.per_second),
            burst: self.burst.min(other.burst),
            debt: self.debt.min(other.debt),
        }
    }

    /// Whether there is no limit.
    #[must_use]
    pub fn is_unlimited(self) -> bool {
        self.per_second <= 0.0
    }

    /// Rounded up, so that a caller that waits this long is not early.
    fn time_for(self, tokens: f64) -> Duration {
        let exact = Duration::try_from_secs_f64(tokens / self.per_second).unwrap_or(Duration::MAX / 4);
        exact + Duration::from_nanos(1)
    }
}

/// Fills with time; see [`Rate`].
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    tokens: f64,
    at: Instant,
    /// The latest time to retry that a refused caller was given.
    retry_at: Instant,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn full(rate: Rate, now: Instant) -> Self {
        Self { tokens: rate.burst, at: now, retry_at: now }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// The time to wait. Each refused caller gets a later time than the one before, up to a minute ahead, so that all
    /// pass if they retry on time; nothing is reserved for one that does not.
    pub fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.take_for(1.0, rate, now)
    }

    /// Takes `cost` tokens. One must be available; the others may become a debt.
    ///
    /// # Errors
    /// As [`Bucket::take`]; a caller's time is later than the one before by the time that its own cost takes to earn.
    pub fn take_for(&mut self, cost: impl Into<f64>, rate: Rate, now: Instant) -> Result<(), Duration> {
        let cost = cost.into();
        self.ready_for(cost, rate, now)?;
        self.charge(cost, rate, now);
        Ok(())
    }

    /// Whether there is a token, without taking it.
    ///
    /// # Errors
    /// As [`Bucket::take`].
    pub fn ready(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.ready_for(1.0, rate, now)
    }

    fn ready_for(&mut self, cost: f64, rate: Rate, now: Instant) -> Result<(), Duration> {
        if rate.is_unlimited() {
            self.tokens = rate.burst;
            return Ok(());
        }
        self.earn(rate, now);
        if self.tokens >= 1.0 - ROUNDING {
            return Ok(());
        }
        let first = now + rate.time_for(1.0 - self.tokens);
        let next = (self.retry_at + rate.time_for(cost)).min(now + LONGEST_LINE);
        self.retry_at = first.max(next);
        Err(self.retry_at - now)
    }

    /// Takes this many tokens even if they are not available, down to the rate's debt.
    pub fn charge(&mut self, tokens: f64, rate: Rate, now: Instant) {
        if !rate.is_unlimited() {
            self.earn(rate, now);
            self.tokens = (self.tokens - tokens).max(-rate.debt);
        }
    }

    /// Puts a token back.
    pub fn put_back(&mut self, rate: Rate) {
        self.tokens = (self.tokens + 1.0).min(rate.burst);
    }

    /// Whether the bucket equals a new one, so that it need not be kept.
    #[must_use]
    pub fn is_full(&self, rate: Rate, now: Instant) -> bool {
        let mut copy = *self;
        copy.earn(rate, now);
        rate.is_unlimited() || (copy.tokens >= rate.burst && self.retry_at <= now)
    }

    fn earn(&mut self, rate: Rate, now: Instant) {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * rate.per_second;
        // Keep `at` if nothing was earned, so that a clock without progress loses no fractions.
        if earned > 0.0 {
            self.tokens = (self.tokens + earned).min(rate.burst);
            self.at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: Rate = Rate::new(10, 20);

    fn emptied(now: Instant) -> Bucket {
        let mut bucket = Bucket::full(RATE, now);
        assert!((0..20).all(|_| bucket.take(RATE, now).is_ok()));
        bucket
    }

    #[test]
    fn the_nth_refused_caller_waits_n_times_as_long() {
        let now = Instant::now();
        let mut bucket = emptied(now);
        for n in 1..=50 {
            let wait = bucket.take(RATE, now).unwrap_err();
            assert!(wait.abs_diff(Duration::from_millis(100 * n)) < Duration::from_millis(1), "{n}: {wait:?}");
        }
        // After a pause nobody waits any more.
        let later = now + Duration::from_secs(7);
        assert!((0..20).all(|_| bucket.take(RATE, later).is_ok()));
        assert!(bucket.take(RATE, later).unwrap_err() <= Duration::from_millis(101));
    }

    #[test]
    fn no_limit_and_debt() {
        let now = Instant::now();
        let none = Rate::new(0, 1);
        let mut bucket = Bucket::full(none, now);
        assert!((0..10_000).all(|_| bucket.take(none, now).is_ok()) && bucket.is_full(none, now));
        let mut bucket = Bucket::full(RATE, now);
        bucket.charge(40.0, RATE, now);
        assert!(bucket.take(RATE, now).unwrap_err() > Duration::from_secs(2));
        assert!(bucket.take(RATE, now + Duration::from_millis(2_101)).is_ok());
        bucket.charge(1e9, RATE, now);
        assert!(bucket.ready(RATE, now).unwrap_err() < Duration::from_secs(70), "a debt is bounded");
        assert!(!bucket.is_full(RATE, now + Duration::from_mins(1)));
        assert!(bucket.is_full(RATE, now + Duration::from_mins(3)));
    }

    #[test]
    fn a_rate_per_window_refills_evenly_and_keeps_debts() {
        let (rate, now) = (Rate::per_window(3, Duration::from_secs(30)), Instant::now());
        let mut bucket = Bucket::full(rate, now);
        assert!((0..3).all(|_| bucket.take(rate, now).is_ok()));
        assert!(bucket.take(rate, now + Duration::from_secs(9)).is_err());
        assert!(bucket.take(rate, now + Duration::from_secs(10)).is_ok());
        bucket.charge(100.0, rate, now + Duration::from_secs(10));
        assert!(bucket.ready(rate, now + Duration::from_secs(1_010)).is_err());
        assert!(bucket.ready(rate, now + Duration::from_secs(1_020)).is_ok());
        assert!(Rate::per_window(0, Duration::from_secs(30)).is_unlimited());
    }

    /// Spaced by cost, each caller passes when it retries on time: expensive callers are no faster than their tokens.
    #[test]
    fn expensive_callers_get_later_times() {
        let now = Instant::now();
        let mut bucket = emptied(now);
        let waits: Vec<_> = (0..10).map(|_| bucket.take_for(5.0, RATE, now).unwrap_err()).collect();
        assert!(waits.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(499)), "{waits:?}");
        assert!(waits.iter().all(|wait| bucket.take_for(5.0, RATE, now + *wait).is_ok()));
    }

    proptest! {
        /// For any pauses, no more callers pass than the burst and the elapsed time allow.
        #[test]
        fn never_more_than_earned(
            per_second in 1_u32..100, burst in 1_u32..50, pauses in prop::collection::vec(0_u64..300, 1..200),
        ) {
            let (rate, start) = (Rate::new(per_second, burst), Instant::now());
            let mut bucket = Bucket::full(rate, start);
            let (mut elapsed, mut passed) = (0, 0_u32);
            for pause in pauses {
                elapsed += pause;
                passed += u32::from(bucket.take(rate, start + Duration::from_millis(elapsed)).is_ok());
                let earned = elapsed as f64 / 1_000.0 * f64::from(per_second);
                prop_assert!(f64::from(passed) <= f64::from(burst) + earned + 0.001);
            }
        }

        /// For any rate and debt, the wait in the error is long enough to the nanosecond.
        #[test]
        fn a_caller_that_retries_on_time_passes(
            count in 1_u32..10_000, seconds in 1_u64..10_000, debt in 0_u32..1_000, late in 0_u64..1_000_000_000,
        ) {
            let (rate, start) = (Rate::per_window(count, Duration::from_secs(seconds)), Instant::now());
            let mut bucket = Bucket::full(rate, start);
            bucket.charge(f64::from(count) + f64::from(debt), rate, start);
            let now = start + Duration::from_nanos(late);
            if let Err(wait) = bucket.ready(rate, now) {
                prop_assert!(bucket.take(rate, now + wait).is_ok());
            }
        }
    }
}
