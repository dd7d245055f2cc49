//! How fast events may come: a token bucket, and a count of those who do not listen. Pure; the time is an argument.

use std::time::Instant;

/// Fills with `rate` tokens a second up to `burst`.
#[derive(Debug, Clone, Copy)]
pub struct TokenBucket {
    tokens: f32,
    at: Instant,
}

impl TokenBucket {
    /// A full bucket.
    #[must_use]
    pub fn full(burst: u32, now: Instant) -> Self {
        Self { tokens: burst as f32, at: now }
    }

    /// Takes a token, or says after how many milliseconds there will be one.
    pub fn take(&mut self, rate: u32, burst: u32, now: Instant) -> Result<(), u64> {
        let rate = rate as f32;
        let earned = now.saturating_duration_since(self.at).as_secs_f32() * rate;
        // A clock that stands still must not keep the fractions from adding up.
        if earned > 0.0 {
            self.tokens = (self.tokens + earned).min(burst as f32);
            self.at = now;
        }
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err((((1.0 - self.tokens) / rate) * 1_000.0).ceil() as u64)
    }
}

/// What a socket may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FloodLimits {
    /// Events a second; 0 for any number.
    pub rate: u32,
    /// Events at once.
    pub burst: u32,
    /// Refused events, without one accepted in between for a second, until the client is sent away; 0 for never.
    pub strikes: u32,
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    Limited { retry_after_ms: u64 },
    Flooding,
}

/// One connection's state.
#[derive(Debug)]
pub(super) struct FloodGuard {
    bucket: TokenBucket,
    strikes: u32,
    struck_at: Instant,
}

impl FloodGuard {
    pub(super) fn new(limits: FloodLimits, now: Instant) -> Self {
        Self { bucket: TokenBucket::full(limits.burst, now), strikes: 0, struck_at: now }
    }

    pub(super) fn check(&mut self, limits: FloodLimits, now: Instant) -> Verdict {
        if limits.rate == 0 {
            return Verdict::Pass;
        }
        let Err(retry_after_ms) = self.bucket.take(limits.rate, limits.burst.max(1), now) else { return Verdict::Pass };
        // A client that paused has listened.
        if now.saturating_duration_since(self.struck_at).as_secs() >= 1 {
            self.strikes = 0;
        }
        self.struck_at = now;
        self.strikes += 1;
        match limits.strikes {
            0 => Verdict::Limited { retry_after_ms },
            most if self.strikes > most => Verdict::Flooding,
            _ => Verdict::Limited { retry_after_ms },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const LIMITS: FloodLimits = FloodLimits { rate: 10, burst: 20, strikes: 5 };

    #[test]
    fn a_burst_passes_then_the_rate_then_flooding() {
        let start = Instant::now();
        let mut guard = FloodGuard::new(LIMITS, start);
        assert!((0..20).all(|_| guard.check(LIMITS, start) == Verdict::Pass));
        assert_eq!(guard.check(LIMITS, start), Verdict::Limited { retry_after_ms: 100 });
        assert_eq!(guard.check(LIMITS, start + Duration::from_millis(100)), Verdict::Pass);
        let verdicts: Vec<_> = (0..5).map(|_| guard.check(LIMITS, start + Duration::from_millis(101))).collect();
        assert_eq!(verdicts.last(), Some(&Verdict::Flooding));
    }

    #[test]
    fn none_means_none() {
        let limits = FloodLimits { rate: 0, ..LIMITS };
        let mut guard = FloodGuard::new(limits, Instant::now());
        assert!((0..10_000).all(|_| guard.check(limits, Instant::now()) == Verdict::Pass));
    }

    proptest! {
        /// Whatever the pauses, no more pass than the burst and what the elapsed time earns.
        #[test]
        fn never_more_than_earned(pauses in prop::collection::vec(0_u64..300, 1..200)) {
            let start = Instant::now();
            let limits = FloodLimits { strikes: 0, ..LIMITS };
            let mut guard = FloodGuard::new(limits, start);
            let (mut elapsed, mut passed) = (0, 0_u64);
            for pause in pauses {
                elapsed += pause;
                if guard.check(limits, start + Duration::from_millis(elapsed)) == Verdict::Pass {
                    passed += 1;
                }
            }
            prop_assert!(passed <= 20 + elapsed * 10 / 1_000 + 1);
        }
    }
}
