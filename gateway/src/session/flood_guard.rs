//! Decides about an event on arrival: it passes, is refused for some time, or shows that its connection floods.

use std::{sync::Arc, time::Instant};

use crate::limits::{Bucket, Conduct, Cost, FloodLimits, Rate, User, millis_up};

/// Highest rate and strikes of a connection before a token was accepted.
const EARLY: (Rate, u32) = (Rate::new(10, 50), 50);

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    Limited { retry_after_ms: u64 },
    Flooding,
}

/// One connection's guard: its own conduct, and the budget that it uses.
pub(super) struct FloodGuard {
    budget: Budget,
    conduct: Conduct,
    /// Cost of the binary parts received since the last checked packet.
    parts: Cost,
}

enum Budget {
    /// A small budget of its own, until a token is accepted.
    Early(Box<Bucket>),
    User(Arc<User>),
}

impl FloodGuard {
    pub(super) fn new(limits: FloodLimits, now: Instant) -> Self {
        let bucket = Bucket::full(early(limits).rate, now);
        Self { budget: Budget::Early(Box::new(bucket)), conduct: Conduct::default(), parts: Cost::none() }
    }

    /// A token of this user was accepted.
    pub(super) fn belongs_to(&mut self, user: &Arc<User>) {
        self.budget = Budget::User(Arc::clone(user));
    }

    /// Counts a binary part. Returns whether the parts received before their event are too many.
    pub(super) fn part(&mut self, bytes: usize, limits: FloodLimits) -> bool {
        self.parts = self.parts.with_part(bytes);
        limits.is_exceeded_by(self.parts)
    }

    /// Checks a packet whose text has `text` bytes and whose binary parts were counted before.
    pub(super) fn check(&mut self, text: usize, limits: FloodLimits, now: Instant) -> Verdict {
        let cost = Cost::event(text, std::mem::replace(&mut self.parts, Cost::none()));
        let (taken, strikes) = match &mut self.budget {
            Budget::Early(bucket) => {
                let FloodLimits { rate, strikes, .. } = early(limits);
                (bucket.take(rate, now), strikes)
            }
            Budget::User(user) => (user.event(cost, now), limits.strikes),
        };
        match taken {
            Ok(()) => {
                self.conduct.passed(cost, now);
                Verdict::Pass
            }
            Err(wait) if self.conduct.refused(cost, wait, strikes, now) => Verdict::Flooding,
            Err(wait) => Verdict::Limited { retry_after_ms: millis_up(wait) },
        }
    }
}

fn early(limits: FloodLimits) -> FloodLimits {
    FloodLimits { rate: limits.rate.at_most(EARLY.0), strikes: limits.strikes.min(EARLY.1), ..limits }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Limits;

    #[test]
    fn a_user_has_one_budget_however_many_connections() {
        let (now, settings) = (Instant::now(), Limits { event_burst: 100, ..Limits::default() });
        let limits = settings.flood();
        let user = Arc::new(User::new(&Arc::new(settings.user()), now));
        let passed = |guard: &mut FloodGuard| (0..120).filter(|_| guard.check(0, limits, now) == Verdict::Pass).count();
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
    fn a_rate_of_zero_is_no_limit() {
        let settings = Limits { event_rate: 0, ..Limits::default() };
        let mut guard = FloodGuard::new(settings.flood(), Instant::now());
        assert!((0..10_000).all(|_| guard.check(0, settings.flood(), Instant::now()) == Verdict::Pass));
        guard.belongs_to(&Arc::new(User::new(&Arc::new(settings.user()), Instant::now())));
        assert!((0..10_000).all(|_| guard.check(0, settings.flood(), Instant::now()) == Verdict::Pass));
    }

    #[test]
    fn bytes_count_as_events() {
        let (now, settings) = (Instant::now(), Limits::default());
        let limits = settings.flood();
        let user = Arc::new(User::new(&Arc::new(settings.user()), now));
        let mut guard = FloodGuard::new(limits, now);
        guard.belongs_to(&user);
        let verdicts: Vec<_> = (0..100).map(|_| guard.check(999_000, limits, now)).collect();
        let passed = verdicts.iter().filter(|verdict| **verdict == Verdict::Pass).count();
        let flooding = verdicts.iter().position(|verdict| *verdict == Verdict::Flooding);
        assert_eq!((passed, flooding), (17, Some(17 + 8)), "1,000 at once, and 500 strikes");
    }

    #[test]
    fn parts_without_an_event_flood() {
        let limits = Limits::default().flood();
        let mut guard = FloodGuard::new(limits, Instant::now());
        let parts = (0..).take_while(|_| !guard.part(1_000_000, limits)).count();
        assert_eq!(parts, 8, "500 strikes and one event");
        let mut any = FloodGuard::new(limits, Instant::now());
        assert!((0..1_000).all(|_| !any.part(1_000_000, FloodLimits { strikes: 0, ..limits })));
    }
}
