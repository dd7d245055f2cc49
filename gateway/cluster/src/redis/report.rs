//! Log lines about something that fails again and again: the first one, then again when the reason changes (at most
//! every [`CHANGE_AFTER`]), and every [`REMIND_AFTER`] while it lasts.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Time between two log lines with the same reason.
const REMIND_AFTER: Duration = Duration::from_secs(30);
/// Time between two log lines with different reasons.
const CHANGE_AFTER: Duration = Duration::from_secs(1);

/// The last log line about one thing.
#[derive(Default)]
pub(crate) struct Failing(Mutex<Option<Logged>>);

struct Logged {
    reason: String,
    at: Instant,
}

impl Failing {
    /// Whether a failure for this reason is to be logged now.
    pub(crate) fn is_due(&self, reason: &str) -> bool {
        let mut logged = self.0.lock();
        if let Some(Logged { reason: last, at }) = &*logged {
            let pause = if last == reason { REMIND_AFTER } else { CHANGE_AFTER };
            if at.elapsed() < pause {
                return false;
            }
        }
        *logged = Some(Logged { reason: reason.to_owned(), at: Instant::now() });
        true
    }

    /// It works. Whether a failure was logged before.
    pub(crate) fn ended(&self) -> bool {
        self.0.lock().take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_reason_is_logged_once_until_it_works() {
        let failing = Failing::default();
        assert!(!failing.ended());
        assert!(failing.is_due("refused"));
        assert!(!failing.is_due("refused"));
        assert!(!failing.is_due("another reason, a moment later"));
        assert!(failing.ended());
        assert!(failing.is_due("refused"));
    }
}
