//! Checks `user:offline` and `user-left` in a cluster that runs already: a user who is back within the grace must not
//! be announced as gone. Pure.
//!
//! It judges by the absences that the members themselves measure. It does not check that a long absence is announced.

use std::{collections::HashMap, time::Duration};

/// A shorter absence is not announced: the default of `presence.grace`, less the time by which a gateway may notice a
/// loss before the client does.
const GRACE: Duration = Duration::from_millis(4_500);
/// How long after a long absence an announcement of it may still arrive: lease and grace.
const LATE: Duration = Duration::from_secs(15);

#[derive(Clone, Copy)]
enum State {
    /// In all its rooms. Until this time of the run an announcement of its last absence is no violation.
    In { excused_until: Duration },
    /// Not in all its rooms since this time of the run.
    Away { since: Duration },
}

/// Presence of the members, by number.
pub struct Presence {
    numbers: HashMap<String, usize>,
    states: Vec<State>,
}

impl Presence {
    /// All members are present; `users` are their user ids.
    pub fn new(users: &[String]) -> Self {
        let numbers = users.iter().cloned().zip(0..).collect();
        Self { numbers, states: vec![State::In { excused_until: Duration::ZERO }; users.len()] }
    }

    /// A member lost its connection.
    pub fn left(&mut self, member: u32, now: Duration) {
        self.states[member as usize] = State::Away { since: now };
    }

    /// A member is in all its rooms again.
    pub fn back(&mut self, member: u32, now: Duration) {
        let state = &mut self.states[member as usize];
        if let State::Away { since } = *state {
            let long = now.saturating_sub(since) >= GRACE;
            *state = State::In { excused_until: if long { now + LATE } else { Duration::ZERO } };
        }
    }

    /// Whether this user was announced as gone although it was not; other users than members do not count.
    pub fn is_false(&self, user: &str, now: Duration) -> bool {
        self.numbers.get(user).is_some_and(|member| match self.states[*member] {
            State::In { excused_until } => now >= excused_until,
            State::Away { since } => now.saturating_sub(since) < GRACE,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_announcement_is_false_unless_the_user_was_away_for_the_grace() {
        let mut presence = Presence::new(&["a".into(), "b".into()]);
        assert!(presence.is_false("b", at(10)) && !presence.is_false("somebody else", at(10)));
        presence.left(1, at(10));
        assert!(presence.is_false("b", at(14)) && !presence.is_false("b", at(15)));
        assert!(presence.is_false("a", at(15)));
        presence.back(1, at(16));
        assert!(!presence.is_false("b", at(20)), "it may have been under way");
        assert!(presence.is_false("b", at(31)));
        presence.left(1, at(40));
        presence.back(1, at(41));
        assert!(presence.is_false("b", at(41)));
    }
}
