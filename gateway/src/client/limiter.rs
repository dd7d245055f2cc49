//! What becomes of an event that has just come: it passes, is refused for a while, or its connection floods.

use std::{sync::Arc, time::Instant};

use crate::limits::{Bucket, Conduct, FloodLimits, Rate, User, millis_up};

/// A connection that has shown no token sends hardly more than that.
const EARLY: (Rate, u32) = (Rate::new(10, 50), 50);

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    Limited { retry_after_ms: u64 },
    Flooding,
}

/// One connection's: its own conduct, and whose budget it uses.
pub(super) struct FloodGuard {
    budget: Budget,
    conduct: Conduct,
}

enum Budget {
    /// A small one of its own, until a token was accepted.
    Early(Bucket),
    User(Arc<User>),
}

impl FloodGuard {
    pub(super) fn new(limits: FloodLimits, now: Instant) -> Self {
        let bucket = Bucket::full(early(limits).rate, now);
        Self { budget: Budget::Early(bucket), conduct: Conduct::default() }
    }

    /// A token of this user was accepted.
    pub(super) fn belongs_to(&mut self, user: &Arc<User>) {
        self.budget = Budget::User(Arc::clone(user));
    }

    pub(super) fn check(&mut self, limits: FloodLimits, now: Instant) -> Verdict {
        let (taken, strikes) = match &mut self.budget {
            Budget::Early(bucket) => {
                let FloodLimits { rate, strikes } = early(limits);
                (bucket.take(rate, now), strikes)
            }
            Budget::User(user) => (user.event(now), limits.strikes),
        };
        match taken {
            Ok(()) => {
                self.conduct.passed(now);
                Verdict::Pass
            }
            Err(wait) if self.conduct.refused(wait, strikes, now) => Verdict::Flooding,
            Err(wait) => Verdict::Limited { retry_after_ms: millis_up(wait) },
        }
    }
}

fn early(FloodLimits { rate, strikes }: FloodLimits) -> FloodLimits {
    FloodLimits { rate: rate.at_most(EARLY.0), strikes: strikes.min(EARLY.1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Limits;

    #[test]
    fn a_user_has_one_budget_however_many_connections() {
        let (now, settings) = (Instant::now(), Limits { event_burst: 100, ..Limits::default() });
        let limits = settings.flood();
        let user = Arc::new(User::new(settings.user(), now));
        let passed = |guard: &mut FloodGuard| (0..120).filter(|_| guard.check(limits, now) == Verdict::Pass).count();
        let connection = || {
            let mut guard = FloodGuard::new(limits, now);
            guard.belongs_to(&user);
            guard
        };
        assert_eq!(passed(&mut connection()), 100);
        assert_eq!(passed(&mut connection()), 0, "a new connection has no new burst");
        assert_eq!(passed(&mut FloodGuard::new(limits, now)), 50, "before a token was accepted");
    }

    #[test]
    fn none_means_none() {
        let settings = Limits { event_rate: 0, ..Limits::default() };
        let mut guard = FloodGuard::new(settings.flood(), Instant::now());
        assert!((0..10_000).all(|_| guard.check(settings.flood(), Instant::now()) == Verdict::Pass));
        guard.belongs_to(&Arc::new(User::new(settings.user(), Instant::now())));
        assert!((0..10_000).all(|_| guard.check(settings.flood(), Instant::now()) == Verdict::Pass));
    }
}
