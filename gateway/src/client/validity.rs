//! How long a session's token lasts, and what is to be done about it when. Pure; the time is an argument.

/// Before a token's end, how many seconds its client is told.
const NOTICE: u64 = 60;

/// One session's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Validity {
    /// Unix seconds.
    pub(super) expires_at: u64,
    told: bool,
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing: look again at this Unix second.
    Wait(u64),
    /// The client is to be told, and looked at again at the end.
    Tell,
    /// It is over.
    Expired,
}

impl Validity {
    /// Another token was accepted; the longer one counts.
    pub(super) fn renew(&mut self, expires_at: u64) {
        if expires_at > self.expires_at {
            *self = Self { expires_at, told: false };
        }
    }

    pub(super) fn step(&mut self, now: u64) -> Step {
        if now >= self.expires_at {
            return Step::Expired;
        }
        let notice_at = self.expires_at.saturating_sub(NOTICE);
        if now < notice_at {
            return Step::Wait(notice_at);
        }
        match std::mem::replace(&mut self.told, true) {
            false => Step::Tell,
            true => Step::Wait(self.expires_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn told_once_a_minute_before_then_expired_unless_renewed() {
        let mut validity = Validity::default();
        validity.renew(1_000);
        assert_eq!(validity.step(500), Step::Wait(940));
        assert_eq!(validity.step(940), Step::Tell);
        assert_eq!(validity.step(941), Step::Wait(1_000));
        validity.renew(900);
        assert_eq!(validity.step(1_000), Step::Expired);
        validity.renew(2_000);
        assert_eq!(validity.step(1_000), Step::Wait(1_940));
        assert_eq!(validity.step(1_999), Step::Tell);
    }
}
