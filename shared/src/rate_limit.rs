//! A token [bucket](crate::bucket) for each key, without I/O and without a clock of its own.
//!
//! Guarantees: in any period no key passes more often than its allowance plus the refill of that period; memory is
//! bounded for any number of keys. When there are too many, the keys that were unused for longest are forgotten, which
//! restores their full allowance.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

use crate::bucket::{Bucket, Rate};

/// How often something may happen.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// Uses at once; 0 for no limit.
    pub count: u32,
    /// The time of a full refill, which is even.
    pub window: Duration,
}

/// The remaining allowance of each key.
pub struct RateLimit<K> {
    rate: Rate,
    window: Duration,
    recent: HashMap<K, Usage>,
    older: HashMap<K, Usage>,
    /// Keys in `recent` at which it becomes `older`, and the keys of `older` are forgotten.
    half: usize,
}

#[derive(Clone, Copy)]
struct Usage {
    bucket: Bucket,
    last: Instant,
}

impl<K: Hash + Eq + Clone> RateLimit<K> {
    /// Every key has its whole allowance. At most `keys` are remembered.
    #[must_use]
    pub fn new(allowance: Allowance, keys: usize) -> Self {
        Self {
            rate: Rate::per_window(allowance.count, allowance.window),
            window: allowance.window,
            recent: HashMap::new(),
            older: HashMap::new(),
            half: (keys / 2).max(1),
        }
    }

    /// Whether `key` has any allowance left.
    ///
    /// # Errors
    /// The time to wait; each refused caller of the key gets a later one, see [`Bucket::take`].
    pub fn check(&mut self, key: &K, now: Instant) -> Result<(), Duration> {
        let rate = self.rate;
        let usage = self.recent.get_mut(key).or_else(|| self.older.get_mut(key));
        usage.map_or(Ok(()), |usage| usage.bucket.ready(rate, now))
    }

    /// Uses up one of `key`'s allowance, even if none is left: several callers may have checked at once.
    pub fn record(&mut self, key: &K, now: Instant) {
        if self.rate.is_unlimited() {
            return;
        }
        let before = self.older.remove(key).or_else(|| self.recent.get(key).copied());
        let mut bucket = before.map_or_else(|| Bucket::full(self.rate, now), |usage| usage.bucket);
        bucket.charge(1.0, self.rate, now);
        self.recent.insert(key.clone(), Usage { bucket, last: now });
        if self.recent.len() >= self.half {
            self.older = std::mem::take(&mut self.recent);
        }
    }

    /// Uses up one of `key`'s allowance, if any is left.
    ///
    /// # Errors
    /// As [`RateLimit::check`].
    pub fn take(&mut self, key: &K, now: Instant) -> Result<(), Duration> {
        self.check(key, now)?;
        self.record(key, now);
        Ok(())
    }

    /// Whether `key` has used nothing for a whole window.
    #[must_use]
    pub fn is_untouched(&self, key: &K, now: Instant) -> bool {
        let usage = self.recent.get(key).or_else(|| self.older.get(key));
        usage.is_none_or(|usage| usage.last + self.window <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limit(count: u32, seconds: u64, keys: usize) -> RateLimit<u32> {
        RateLimit::new(Allowance { count, window: Duration::from_secs(seconds) }, keys)
    }

    #[test]
    fn the_allowance_comes_back_evenly() {
        let mut limit = limit(3, 30, 100);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for _ in 0..3 {
            assert_eq!(limit.take(&1, start), Ok(()));
        }
        assert_eq!(limit.take(&1, start).unwrap_err().as_millis(), 10_000);
        assert_eq!(limit.take(&2, start), Ok(()), "other keys have their own allowance");
        assert_eq!(limit.take(&1, at(4)).unwrap_err().as_millis(), 16_000, "after the one refused before");
        assert_eq!(limit.take(&1, at(11)), Ok(()));
        assert!(limit.take(&1, at(11)).is_err());
        for _ in 0..3 {
            assert_eq!(limit.take(&1, at(100)), Ok(()));
        }
        assert!(limit.take(&1, at(100)).is_err());
    }

    #[test]
    fn more_uses_than_the_allowance_are_paid_off() {
        let mut limit = limit(3, 30, 100);
        let start = Instant::now();
        for _ in 0..13 {
            limit.record(&1, start);
        }
        assert!(limit.check(&1, start + Duration::from_secs(109)).is_err());
        assert_eq!(limit.check(&1, start + Duration::from_secs(111)), Ok(()));
    }

    #[test]
    fn a_key_is_touched_for_a_window_after_its_last_use() {
        let mut limit = limit(3, 30, 100);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(limit.is_untouched(&1, start));
        limit.record(&1, start);
        limit.record(&1, at(5));
        for (seconds, untouched) in [(5, false), (15, false), (34, false), (35, true)] {
            assert_eq!(limit.check(&1, at(seconds)), Ok(()), "checking is no use");
            assert_eq!(limit.is_untouched(&1, at(seconds)), untouched, "{seconds}");
        }
        assert!(limit.is_untouched(&2, start));
    }

    #[test]
    fn zero_is_no_limit_and_costs_no_memory() {
        let mut limit = limit(0, 30, 100);
        let now = Instant::now();
        assert!((0..10_000).all(|_| limit.take(&1, now).is_ok()));
        assert!(limit.recent.is_empty());
    }

    #[test]
    fn memory_is_bounded_and_the_longest_unused_are_forgotten() {
        let mut limit = limit(1, 3_600, 100);
        let now = Instant::now();
        for key in 0..100_000 {
            assert!(limit.take(&key, now).is_ok());
            assert!(limit.recent.len() + limit.older.len() <= 100);
        }
        assert!(limit.check(&99_999, now).is_err());
        assert!(limit.check(&0, now).is_ok());
    }

    proptest! {
        #[test]
        fn never_more_than_the_allowance_and_what_came_back(
            count in 1_u32..20, seconds in 1_u64..100, pauses in prop::collection::vec(0_u64..20_000, 1..200),
        ) {
            let mut limit = limit(count, seconds, 10);
            let start = Instant::now();
            let (mut now, mut passed) = (start, 0_u32);
            for pause in pauses {
                now += Duration::from_millis(pause);
                passed += u32::from(limit.take(&7, now).is_ok());
                let back = (now - start).as_secs_f64() * f64::from(count) / seconds as f64;
                prop_assert!(f64::from(passed) <= f64::from(count) + back + 0.001);
            }
        }

        #[test]
        fn a_key_that_retries_on_time_passes(count in 1_u32..20, seconds in 1_u64..100) {
            let mut limit = limit(count, seconds, 10);
            let now = Instant::now();
            for _ in 0..count {
                prop_assert_eq!(limit.take(&7, now), Ok(()));
            }
            let wait = limit.check(&7, now).unwrap_err();
            prop_assert_eq!(limit.check(&7, now + wait), Ok(()));
        }
    }
}
