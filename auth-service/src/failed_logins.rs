//! Limits on sign-ins after failures, without I/O and without a clock of its own.
//!
//! Guarantees:
//! - One client address cannot guess more often than allowed, at one account or at all accounts together.
//! - Once an account has too many failures from all addresses, each address has one guess per window. This needs a
//!   limit per pair: if `login.failures` is 0, `login.failuresPerAccount` is never checked.
//! - A stranger cannot lock the owner out: failures from other addresses never block an address's first sign-in.
//!
//! Only failures count, and an account that does not exist counts like one that does.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use jackfield_shared::rate_limit::{Allowance, RateLimit};

use crate::{rules::Email, settings::Login};

/// Failed sign-ins, by client address and account.
pub struct FailedLogins {
    per_pair: RateLimit<(Email, IpAddr)>,
    per_address: RateLimit<IpAddr>,
    per_account: RateLimit<Email>,
}

impl FailedLogins {
    /// No failures yet. Remembers at most `keys` keys per limit.
    #[must_use]
    pub fn new(limits: &Login, keys: usize) -> Self {
        let allowance = |count| Allowance { count, window: limits.window };
        Self {
            per_pair: RateLimit::new(allowance(limits.failures), keys),
            per_address: RateLimit::new(allowance(limits.failures_per_address), keys),
            per_account: RateLimit::new(allowance(limits.failures_per_account), keys),
        }
    }

    /// Whether a sign-in may be attempted.
    ///
    /// # Errors
    /// The time to wait.
    pub fn check(&mut self, email: &Email, client: IpAddr, now: Instant) -> Result<(), Duration> {
        let pair = (email.clone(), client);
        self.per_pair.check(&pair, now)?;
        self.per_address.check(&client, now)?;
        if self.per_pair.is_untouched(&pair, now) { Ok(()) } else { self.per_account.check(email, now) }
    }

    /// Counts a sign-in that failed.
    pub fn record(&mut self, email: &Email, client: IpAddr, now: Instant) {
        self.per_pair.record(&(email.clone(), client), now);
        self.per_address.record(&client, now);
        self.per_account.record(email, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits() -> FailedLogins {
        FailedLogins::new(&Login::default(), 10_000)
    }

    fn account(number: usize) -> Email {
        Email::new(&format!("user{number}@mail.com"))
    }

    fn client(number: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + number).to_be_bytes())
    }

    #[test]
    fn spraying_many_accounts_from_one_address_is_stopped() {
        let (mut limits, now) = (limits(), Instant::now());
        let tried = (0..299).filter(|number| {
            let allowed = limits.check(&account(*number), client(1), now).is_ok();
            if allowed {
                limits.record(&account(*number), client(1), now);
            }
            allowed
        });
        assert_eq!(tried.count(), 50);
        assert_eq!(limits.check(&account(0), client(2), now), Ok(()), "other addresses are not limited");
    }

    #[test]
    fn one_account_under_siege_leaves_each_address_one_guess() {
        let (mut limits, now) = (limits(), Instant::now());
        for number in 0..100 {
            limits.record(&account(1), client(number / 10), now);
        }
        let mut guesses = 0;
        while limits.check(&account(1), client(77), now).is_ok() {
            limits.record(&account(1), client(77), now);
            guesses += 1;
        }
        assert_eq!(guesses, 1);
        assert!(limits.check(&account(2), client(77), now).is_ok(), "other accounts are not under siege");
    }

    #[test]
    fn zero_is_no_limit() {
        let unlimited = Login { failures: 0, failures_per_address: 0, failures_per_account: 0, ..Login::default() };
        let (mut limits, now) = (FailedLogins::new(&unlimited, 100), Instant::now());
        for _ in 0..1_000 {
            assert_eq!(limits.check(&account(1), client(1), now), Ok(()));
            limits.record(&account(1), client(1), now);
        }
    }

    proptest! {
        #[test]
        fn no_stranger_locks_an_owner_out(
            tries in prop::collection::vec((0_usize..3, 1_u32..200, 0_u64..5_000), 0..2_000),
        ) {
            let (mut limits, mut now) = (limits(), Instant::now());
            for (number, stranger, pause) in tries {
                now += Duration::from_millis(pause);
                limits.record(&account(number), client(stranger), now);
            }
            for number in 0..3 {
                prop_assert_eq!(limits.check(&account(number), client(0), now), Ok(()));
            }
        }
    }
}
