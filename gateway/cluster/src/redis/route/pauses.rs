//! The pauses between attempts of one call.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(160);
/// So many redirects are followed without a pause: to the slot's new place, and on from there.
const AT_ONCE: u32 = 2;

/// Each pause is twice the last one, up to [`LONGEST`].
#[derive(Default)]
pub(super) struct Pauses {
    redirects: u32,
    paused: u32,
}

impl Pauses {
    /// The pause before a call that was refused for now.
    pub(super) fn next(&mut self) -> Duration {
        let pause = FIRST.saturating_mul(2_u32.saturating_pow(self.paused)).min(LONGEST);
        self.paused = self.paused.saturating_add(1);
        pause
    }

    /// The pause before a call that was redirected: nodes that disagree may send it to and fro.
    pub(super) fn after_redirect(&mut self) -> Duration {
        self.redirects += 1;
        if self.redirects > AT_ONCE { self.next() } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_the_first_redirects_have_none() {
        let mut pauses = Pauses::default();
        let after: Vec<_> = (0..4).map(|_| pauses.after_redirect().as_millis()).collect();
        assert_eq!(after, [0, 0, 10, 20]);
        let next: Vec<_> = (0..4).map(|_| pauses.next().as_millis()).collect();
        assert_eq!(next, [40, 80, 160, 160]);
    }
}
