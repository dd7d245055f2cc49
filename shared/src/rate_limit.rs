//! A token bucket for each key, without I/O and without a clock of its own.
//!
//! Guarantees: in any period no key passes more often than its allowance plus the refill of that period; memory is
//! bounded for any number of keys. When there are too many, the keys that were unused for longest are forgotten, which
//! restores their full allowance.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

/// How often something may happen.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// Uses at once; 0 for no limit.
    pub count: u32,
    /// The time of a full refill, which is even.
    pub window: Duration,
}

/// The remaining allowance of each key.
///
/// It keeps one time per key: when its bucket is full again. Each use moves that by one share of the window.
pub struct RateLimit<K> {
    allowance: Allowance,
    recent: HashMap<K, Instant>,
    older: HashMap<K, Instant>,
    half: usize,
}

impl<K: Hash + Eq + Clone> RateLimit<K> {
    /// Every key has its whole allowance. At most `keys` are remembered.
    #[must_use]
    pub fn new(allowance: Allowance, keys: usize) -> Self {
        Self { allowance, recent: HashMap::new(), older: HashMap::new(), half: (keys / 2).max(1) }
    }

    /// Whether `key` has any allowance left.
    ///
    /// # Errors
    /// The time to wait.
    pub fn check(&self, key: &K, now: Instant) -> Result<(), Duration> {
        if self.allowance.count == 0 {
            return Ok(());
        }
        let missing = self.full_again(key).map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let wait = (missing + self.share()).saturating_sub(self.allowance.window);
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    /// Uses up one of `key`'s allowance, even if none is left: several callers may have checked at once.
    pub fn record(&mut self, key: &K, now: Instant) {
        if self.allowance.count == 0 {
            return;
        }
        let full = self.full_again(key).map_or(now, |at| at.max(now)) + self.share();
        self.older.remove(key);
        self.recent.insert(key.clone(), full);
        if self.recent.len() >= self.half {
            self.older = std::mem::take(&mut self.recent);
        }
    }

    /// Uses up one of `key`'s allowance, if any is left.
    ///
    /// # Errors
    /// The time to wait.
    pub fn take(&mut self, key: &K, now: Instant) -> Result<(), Duration> {
        self.check(key, now)?;
        self.record(key, now);
        Ok(())
    }

    /// Whether `key` has used nothing for a whole window, or for up to two after several uses.
    #[must_use]
    pub fn is_untouched(&self, key: &K, now: Instant) -> bool {
        self.full_again(key).is_none_or(|full| full + self.allowance.window <= now + self.share())
    }

    fn full_again(&self, key: &K) -> Option<Instant> {
        self.recent.get(key).or_else(|| self.older.get(key)).copied()
    }

    fn share(&self) -> Duration {
        self.allowance.window / self.allowance.count.max(1)
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
        for _ in 0..3 {
            assert_eq!(limit.take(&1, start), Ok(()));
        }
        assert_eq!(limit.take(&1, start), Err(Duration::from_secs(10)));
        assert_eq!(limit.take(&2, start), Ok(()), "others have their own");
        assert_eq!(limit.take(&1, start + Duration::from_secs(4)), Err(Duration::from_secs(6)));
        assert_eq!(limit.take(&1, start + Duration::from_secs(10)), Ok(()));
        assert!(limit.take(&1, start + Duration::from_secs(10)).is_err());
        for _ in 0..3 {
            assert_eq!(limit.take(&1, start + Duration::from_secs(100)), Ok(()));
        }
        assert!(limit.take(&1, start + Duration::from_secs(100)).is_err());
    }

    #[test]
    fn one_use_is_remembered_for_a_whole_window() {
        let mut limit = limit(3, 30, 100);
        let start = Instant::now();
        assert!(limit.is_untouched(&1, start));
        limit.record(&1, start);
        for (seconds, untouched) in [(0, false), (10, false), (29, false), (30, true)] {
            assert_eq!(limit.is_untouched(&1, start + Duration::from_secs(seconds)), untouched, "{seconds}");
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
    fn memory_is_bounded_and_the_longest_unheard_are_forgotten() {
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
        fn who_waits_as_long_as_told_passes(count in 1_u32..20, seconds in 1_u64..100) {
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
