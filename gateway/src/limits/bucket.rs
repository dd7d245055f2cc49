//! A token bucket that gives each refused caller its own time to retry. Pure; the time is an argument.

use std::time::{Duration, Instant};

use super::Cost;

/// Longest wait that other waiting callers can cause.
const LONGEST_LINE: Duration = Duration::from_mins(1);
/// A debt is paid off within this time.
const LONGEST_DEBT_SECS: f64 = 60.0;

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    per_second: f64,
    burst: f64,
}

impl Rate {
    /// `per_second` tokens a second, and `burst` (at least 1) at once. A rate of 0 means no limit.
    pub(crate) const fn new(per_second: u32, burst: u32) -> Self {
        let burst = if burst == 0 { 1 } else { burst };
        Self { per_second: per_second as f64, burst: burst as f64 }
    }

    /// `count` tokens at once, and as many again in the course of an hour. 0 means no limit.
    pub(crate) fn hourly(count: u32) -> Self {
        Self { per_second: f64::from(count) / 3_600.0, burst: f64::from(count.max(1)) }
    }

    /// Both rate and burst, multiplied by `factor`.
    pub(crate) fn times(self, factor: u32) -> Self {
        Self { per_second: self.per_second * f64::from(factor), burst: self.burst * f64::from(factor) }
    }

    /// The smaller rate and the smaller burst of the two; no limit if either has none.
    pub(crate) fn at_most(self, other: Self) -> Self {
        Self { per_second: self.per_second.min(other.per_second), burst: self.burst.min(other.burst) }
    }

    /// Whether there is no limit.
    pub(crate) fn is_unlimited(self) -> bool {
        self.per_second <= 0.0
    }

    fn time_for(self, tokens: f64) -> Duration {
        Duration::try_from_secs_f64(tokens / self.per_second).unwrap_or(Duration::MAX / 4)
    }
}

/// Fills with time; see [`Rate`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    tokens: f64,
    at: Instant,
    /// The latest time to retry that a refused caller was given.
    told: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn full(rate: Rate, now: Instant) -> Self {
        Self { tokens: rate.burst, at: now, told: now }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// The time to wait. Each refused caller gets a later time than the one before, up to a minute ahead, so that all
    /// pass if they retry on time; nothing is reserved for one that does not.
    pub(crate) fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.take_for(Cost::ONE, rate, now)
    }

    /// Takes `cost` tokens. One must be available; the others may become a debt.
    ///
    /// # Errors
    /// As [`Bucket::take`]; a caller's time is later than the one before by the time that its own cost takes to earn.
    pub(crate) fn take_for(&mut self, cost: Cost, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.ready_for(cost, rate, now)?;
        self.charge(cost.0, rate, now);
        Ok(())
    }

    /// Whether there is a token, without taking it.
    ///
    /// # Errors
    /// As [`Bucket::take`].
    pub(crate) fn ready(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.ready_for(Cost::ONE, rate, now)
    }

    fn ready_for(&mut self, Cost(cost): Cost, rate: Rate, now: Instant) -> Result<(), Duration> {
        if rate.is_unlimited() {
            self.tokens = rate.burst;
            return Ok(());
        }
        self.earn(rate, now);
        if self.tokens >= 1.0 {
            return Ok(());
        }
        let first = now + rate.time_for(1.0 - self.tokens);
        let next = (self.told + rate.time_for(cost)).min(now + LONGEST_LINE);
        self.told = first.max(next);
        Err(self.told - now)
    }

    /// Takes this many tokens even if they are not available. The debt is bounded.
    pub(crate) fn charge(&mut self, tokens: f64, rate: Rate, now: Instant) {
        if !rate.is_unlimited() {
            self.earn(rate, now);
            self.tokens = (self.tokens - tokens).max(-LONGEST_DEBT_SECS * rate.per_second);
        }
    }

    /// Puts a token back.
    pub(crate) fn put_back(&mut self, rate: Rate) {
        self.tokens = (self.tokens + 1.0).min(rate.burst);
    }

    /// Whether the bucket equals a new one, so that it need not be kept.
    pub(crate) fn is_full(&self, rate: Rate, now: Instant) -> bool {
        let mut copy = *self;
        copy.earn(rate, now);
        rate.is_unlimited() || (copy.tokens >= rate.burst && self.told <= now)
    }

    fn earn(&mut self, rate: Rate, now: Instant) {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * rate.per_second;
        // Keep `at` if nothing was earned, so that a clock that stands still loses no fractions.
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

    const RATE: fn() -> Rate = || Rate::new(10, 20);

    fn emptied(now: Instant) -> Bucket {
        let mut bucket = Bucket::full(RATE(), now);
        assert!((0..20).all(|_| bucket.take(RATE(), now).is_ok()));
        bucket
    }

    #[test]
    fn the_nth_that_waits_is_told_n_times_as_long() {
        let now = Instant::now();
        let mut bucket = emptied(now);
        for n in 1..=50 {
            let told = bucket.take(RATE(), now).unwrap_err();
            assert!(told.abs_diff(Duration::from_millis(100 * n)) < Duration::from_millis(1), "{n}: {told:?}");
        }
        // After a pause nobody waits any more.
        let later = now + Duration::from_secs(7);
        assert!((0..20).all(|_| bucket.take(RATE(), later).is_ok()));
        assert!(bucket.take(RATE(), later).unwrap_err() <= Duration::from_millis(101));
    }

    #[test]
    fn no_limit_and_debt() {
        let now = Instant::now();
        let none = Rate::new(0, 1);
        let mut bucket = Bucket::full(none, now);
        assert!((0..10_000).all(|_| bucket.take(none, now).is_ok()) && bucket.is_full(none, now));
        let mut bucket = Bucket::full(RATE(), now);
        bucket.charge(40.0, RATE(), now);
        assert!(bucket.take(RATE(), now).unwrap_err() > Duration::from_secs(2));
        assert!(bucket.take(RATE(), now + Duration::from_millis(2_101)).is_ok());
        bucket.charge(1e9, RATE(), now);
        assert!(bucket.ready(RATE(), now).unwrap_err() < Duration::from_secs(70), "a debt is bounded");
        assert!(!bucket.is_full(RATE(), now + Duration::from_mins(1)));
        assert!(bucket.is_full(RATE(), now + Duration::from_mins(3)));
    }

    /// Spaced by cost, each caller passes when it retries on time: expensive callers are no faster than their tokens.
    #[test]
    fn expensive_callers_are_told_later_times() {
        let now = Instant::now();
        let (mut bucket, cost) = (emptied(now), Cost::ONE.with_part(4 * 16_384));
        let told: Vec<_> = (0..10).map(|_| bucket.take_for(cost, RATE(), now).unwrap_err()).collect();
        assert!(told.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(499)), "{told:?}");
        assert!(told.iter().all(|wait| bucket.take_for(cost, RATE(), now + *wait + Duration::from_millis(1)).is_ok()));
    }

    proptest! {
        /// For any pauses, no more callers pass than the burst and the elapsed time allow.
        #[test]
        fn never_more_than_earned(pauses in prop::collection::vec(0_u64..300, 1..200)) {
            let start = Instant::now();
            let mut bucket = Bucket::full(RATE(), start);
            let (mut elapsed, mut passed) = (0, 0_u64);
            for pause in pauses {
                elapsed += pause;
                passed += u64::from(bucket.take(RATE(), start + Duration::from_millis(elapsed)).is_ok());
            }
            prop_assert!(passed <= 20 + elapsed * 10 / 1_000 + 1);
        }
    }
}
