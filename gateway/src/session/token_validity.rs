//! Decides when to warn of a token's expiry, and when to end the session or subscription. Pure; the time is an
//! argument.

/// How many seconds before a token's expiry its client is warned.
const WARN_BEFORE: u64 = 60;

/// The expiry of one session's token, or of one subscription's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TokenValidity {
    /// Unix seconds.
    pub(super) expires_at: u64,
    warned: bool,
}

/// The step that is due now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing: check again at this Unix second.
    Wait(u64),
    /// Warn the client, and check again at this Unix second: if another token was accepted that ends as soon, the
    /// client must be warned of that end, too, and in time.
    Warn(u64),
    /// The token has expired.
    Expired,
}

impl TokenValidity {
    /// Another token was accepted: the later expiry counts.
    pub(super) fn renew(&mut self, expires_at: u64) {
        // A token that is got within the same second ends at the same one.
        if expires_at >= self.expires_at {
            *self = Self { expires_at, warned: false };
        }
    }

    pub(super) fn step(&mut self, now: u64) -> Step {
        if now >= self.expires_at {
            return Step::Expired;
        }
        let warn_at = self.expires_at.saturating_sub(WARN_BEFORE);
        if now < warn_at {
            return Step::Wait(warn_at);
        }
        match std::mem::replace(&mut self.warned, true) {
            false => Step::Warn(now + (self.expires_at - now).div_ceil(2)),
            true => Step::Wait(self.expires_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_warned_once_a_minute_before_its_expiry() {
        let mut validity = TokenValidity::default();
        validity.renew(1_000);
        assert_eq!(validity.step(500), Step::Wait(940));
        assert_eq!(validity.step(940), Step::Warn(970));
        assert_eq!(validity.step(941), Step::Wait(1_000));
        validity.renew(900);
        assert_eq!(validity.step(1_000), Step::Expired);
        validity.renew(2_000);
        assert_eq!(validity.step(1_000), Step::Wait(1_940));
        assert_eq!(validity.step(1_999), Step::Warn(2_000));
    }

    #[test]
    fn a_client_with_short_tokens_is_warned_of_each() {
        let (mut validity, mut now) = (TokenValidity::default(), 100);
        validity.renew(106);
        for _ in 0..10 {
            let Step::Warn(next) = validity.step(now) else { panic!("at {now}: {validity:?}") };
            assert!(next > now && next < validity.expires_at, "{now} {next} {validity:?}");
            // At once, so perhaps within the same second.
            validity.renew(now + 6);
            now = next;
        }
        assert!(now > 120);
    }
}
