//! Whether a Redis gives a durability: for refusing early, for `/readyz`, and for the log.

use std::time::{Duration, Instant};

use super::barrier::Problem;

/// Shortest time between two log lines about the same problem that comes and goes.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// A line for the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A problem began, or its cause changed.
    Missing(&'static str),
    /// The problem of an earlier line is over.
    Given,
}

/// See the module. Pure: the time is an argument.
#[derive(Default)]
pub(super) struct State {
    problem: Option<Problem>,
    /// The last line about a problem.
    logged: Option<(Instant, &'static str)>,
    /// Whether that problem is over.
    over: bool,
}

impl State {
    /// The present problem.
    pub(super) fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    /// Records what a barrier found.
    pub(super) fn set(&mut self, problem: Option<Problem>, now: Instant) -> Option<Line> {
        self.problem = problem;
        match self.problem.as_ref().map(|problem| problem.reason) {
            None => {
                let was_logged = self.logged.is_some() && !self.over;
                self.over = true;
                was_logged.then_some(Line::Given)
            }
            Some(reason) => {
                let known = self
                    .logged
                    .is_some_and(|(at, last)| last == reason && (!self.over || now.duration_since(at) < AGAIN_AFTER));
                if known {
                    return None;
                }
                (self.logged, self.over) = (Some((now, reason)), false);
                Some(Line::Missing(reason))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(reason: &'static str) -> Option<Problem> {
        Some(Problem { reason, lasts: false })
    }

    #[test]
    fn a_problem_is_logged_when_it_begins_changes_and_ends() {
        let (mut state, now) = (State::default(), Instant::now());
        assert_eq!(state.set(None, now), None);
        assert_eq!(state.set(problem("a"), now), Some(Line::Missing("a")));
        assert_eq!((state.set(problem("a"), now), state.problem().is_some()), (None, true));
        assert_eq!(state.set(problem("b"), now), Some(Line::Missing("b")));
        assert_eq!(state.set(None, now), Some(Line::Given));
        assert_eq!((state.set(None, now), state.problem().is_none()), (None, true));
    }

    #[test]
    fn one_that_comes_and_goes_is_not_logged_each_time() {
        let (mut state, now) = (State::default(), Instant::now());
        state.set(problem("a"), now);
        state.set(None, now);
        assert_eq!((state.set(problem("a"), now), state.set(None, now)), (None, None));
        assert_eq!(state.set(problem("a"), now + AGAIN_AFTER), Some(Line::Missing("a")));
    }
}
