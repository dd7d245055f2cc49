//! Stops calling a backend that does not answer. Pure: the caller passes the time.
//!
//! Opens after [`FAILURES`] failures in a row, refuses calls for a pause, then admits one call as a probe. A probe that
//! fails doubles the pause, up to [`LONGEST`]; one that succeeds closes the breaker. Answers to calls that began earlier do
//! not: those of a backend that was killed may still arrive.

use std::time::{Duration, Instant};

/// Failures in a row after which the breaker opens.
pub(super) const FAILURES: u32 = 5;
/// The first pause, and the longest.
pub(super) const FIRST: Duration = Duration::from_secs(1);
pub(super) const LONGEST: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    /// Number of probes so far: a late result of an earlier one must not count for the present one.
    probes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant, pause: Duration },
    Probing { probe: u64, pause: Duration },
}

/// The permission for one call, which its result names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    Call,
    Probe(u64),
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self { state: State::Closed { failures: 0 }, probes: 0 }
    }

    /// Whether a call may be made; `None` if not.
    pub(super) fn admit(&mut self, now: Instant) -> Option<Pass> {
        match self.state {
            State::Closed { .. } => Some(Pass::Call),
            State::Open { until, pause } if now >= until => {
                self.probes += 1;
                self.state = State::Probing { probe: self.probes, pause };
                Some(Pass::Probe(self.probes))
            }
            State::Open { .. } | State::Probing { .. } => None,
        }
    }

    /// The backend answered. Returns whether the breaker closed now.
    pub(super) fn succeeded(&mut self, pass: Pass) -> bool {
        let closes = matches!((self.state, pass), (State::Probing { probe, .. }, Pass::Probe(own)) if probe == own);
        if closes || !self.is_open() {
            self.state = State::Closed { failures: 0 };
        }
        closes
    }

    /// The backend did not answer. Returns the pause if the breaker opened now, or opened again after a probe.
    pub(super) fn failed(&mut self, pass: Pass, now: Instant) -> Option<Duration> {
        let pause = match (self.state, pass) {
            (State::Closed { failures }, _) if failures + 1 < FAILURES => {
                self.state = State::Closed { failures: failures + 1 };
                return None;
            }
            (State::Closed { .. }, _) => FIRST,
            (State::Probing { probe, pause }, Pass::Probe(own)) if probe == own => (pause * 2).min(LONGEST),
            // The result of a call that began before the breaker opened.
            (State::Open { .. } | State::Probing { .. }, _) => return None,
        };
        self.state = State::Open { until: now + pause, pause };
        Some(pause)
    }

    /// The call was given up without a result: another one may probe.
    pub(super) fn cancelled(&mut self, pass: Pass, now: Instant) {
        if let (State::Probing { probe, pause }, Pass::Probe(own)) = (self.state, pass)
            && probe == own
        {
            self.state = State::Open { until: now, pause };
        }
    }

    pub(super) fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn opens_after_failures_in_a_row_and_probes_with_growing_pauses() {
        let (mut breaker, mut now) = (Breaker::new(), Instant::now());
        for _ in 1..FAILURES {
            assert_eq!(breaker.failed(Pass::Call, now), None);
        }
        assert!(!breaker.succeeded(Pass::Call));
        for _ in 1..FAILURES {
            assert_eq!(breaker.failed(Pass::Call, now), None, "the success began a new row");
        }
        assert_eq!(breaker.failed(Pass::Call, now), Some(FIRST));
        let mut pauses = Vec::new();
        let mut pause = FIRST;
        for _ in 0..7 {
            assert_eq!(breaker.admit(now), None);
            now += pause;
            let probe = breaker.admit(now).unwrap();
            assert_eq!(breaker.admit(now), None, "one probe at a time");
            pause = breaker.failed(probe, now).unwrap();
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses, [2, 4, 8, 16, 30, 30, 30]);
        now += pause;
        let probe = breaker.admit(now).unwrap();
        breaker.cancelled(probe, now);
        let next = breaker.admit(now).expect("a cancelled probe leaves its place to another one");
        assert!(!breaker.succeeded(Pass::Call) && !breaker.succeeded(probe) && breaker.is_open());
        assert!(breaker.succeeded(next) && !breaker.is_open());
        assert_eq!(breaker.admit(now), Some(Pass::Call));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Wait(u64),
        Call,
        /// Ends one of the calls under way, with this result.
        End(prop::sample::Index, End),
    }

    #[derive(Debug, Clone, Copy)]
    enum End {
        Succeeded,
        Failed,
        Cancelled,
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let end = prop_oneof![Just(End::Succeeded), Just(End::Failed), Just(End::Failed), Just(End::Cancelled)];
        prop_oneof![
            (0u64..40_000).prop_map(Step::Wait),
            Just(Step::Call),
            Just(Step::Call),
            (any::<prop::sample::Index>(), end).prop_map(|(index, end)| Step::End(index, end)),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens(steps in prop::collection::vec(any_step(), 0..200)) {
            let (mut breaker, mut now) = (Breaker::new(), Instant::now());
            let (mut calls, mut row) = (Vec::<Pass>::new(), 0);
            // The probe that the breaker waits for, and the time before which it admits nothing.
            let (mut probe, mut closed_until) = (None, None::<Instant>);
            for step in steps {
                match step {
                    Step::Wait(ms) => now += Duration::from_millis(ms),
                    Step::Call => {
                        let pass = breaker.admit(now);
                        let may = probe.is_none() && closed_until.is_none_or(|until| now >= until);
                        prop_assert_eq!(pass.is_some(), may);
                        prop_assert_eq!(matches!(pass, Some(Pass::Probe(_))), may && closed_until.is_some());
                        if let Some(pass @ Pass::Probe(_)) = pass {
                            probe = Some(pass);
                        }
                        calls.extend(pass);
                    }
                    Step::End(..) if calls.is_empty() => {}
                    Step::End(index, end) => {
                        let pass = calls.swap_remove(index.index(calls.len()));
                        let is_probe = probe == Some(pass);
                        match end {
                            End::Succeeded => {
                                prop_assert_eq!(breaker.succeeded(pass), is_probe);
                                if is_probe || closed_until.is_none() {
                                    (row, probe, closed_until) = (0, None, None);
                                }
                            }
                            End::Failed => {
                                let opened = breaker.failed(pass, now);
                                row += 1;
                                let opens = if closed_until.is_some() { is_probe } else { row >= FAILURES };
                                prop_assert_eq!(opened.is_some(), opens);
                                if let Some(pause) = opened {
                                    prop_assert!((FIRST..=LONGEST).contains(&pause));
                                    (probe, closed_until) = (None, Some(now + pause));
                                }
                            }
                            End::Cancelled => {
                                breaker.cancelled(pass, now);
                                if is_probe {
                                    (probe, closed_until) = (None, Some(now));
                                }
                            }
                        }
                    }
                }
                prop_assert_eq!(breaker.is_open(), closed_until.is_some());
            }
        }
    }
}
