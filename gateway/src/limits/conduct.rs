//! Decides whether a client respects the times to retry, or floods. Pure; the time is an argument.
//!
//! Every refusal carries a time to retry. Once that time has passed, it excuses one event, no matter which: a client
//! that respects these times sends one event for each of them, and not before it. A refused event that is not excused
//! adds as many strikes as it costs (see [`Cost`]; 1 for a short event), and an accepted event removes as many, because
//! the client may then send a new one. So a client that keeps events of a total cost of `n` in flight and respects the
//! times never has more than `n` strikes, however long it continues; a client that retries too early, or sends more
//! than twice the rate, gets more and more of them.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{Cost, Rate};

/// Clients round times to milliseconds, and timers may fire a little early.
const TOLERANCE: Duration = Duration::from_millis(5);

/// The limits on the events of a user and a connection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FloodLimits {
    /// Events of one user.
    pub(crate) rate: Rate,
    /// Strikes that a connection may have; 0 for no limit.
    pub(crate) strikes: u32,
    /// Bytes that one event may have; 0 for no limit.
    pub(crate) payload: usize,
}

impl FloodLimits {
    /// Whether the binary parts received before their event cost more than the largest event and all strikes together.
    pub(crate) fn is_exceeded_by(self, parts: Cost) -> bool {
        let full = Cost::none().with_part(self.payload);
        self.strikes > 0 && self.payload > 0 && parts.0 > full.0 + f64::from(self.strikes)
    }
}

/// The conduct of one connection. Needs no memory for a client that was never limited, or has made up for it.
#[derive(Debug, Default)]
pub(crate) struct Conduct(Option<Box<Record>>);

#[derive(Debug, Default)]
struct Record {
    /// Times to retry that were sent to the client and have not excused an event yet, in order. At most as many as the
    /// strikes allowed.
    retry_times: VecDeque<Instant>,
    strikes: f64,
}

impl Conduct {
    /// An event was accepted.
    pub(crate) fn passed(&mut self, Cost(cost): Cost, now: Instant) {
        let Some(record) = &mut self.0 else { return };
        record.excuses(now);
        record.strikes = (record.strikes - cost).max(0.0);
        if record.retry_times.is_empty() && record.strikes == 0.0 {
            self.0 = None;
        }
    }

    /// An event was refused with `wait` as its time to retry. Returns whether the client floods.
    pub(crate) fn refused(&mut self, Cost(cost): Cost, wait: Duration, max: u32, now: Instant) -> bool {
        if max == 0 {
            return false;
        }
        let record = self.0.get_or_insert_default();
        if !record.excuses(now) {
            record.strikes += cost;
        }
        if record.retry_times.len() >= max as usize {
            record.retry_times.pop_front();
        }
        record.retry_times.push_back(now + wait);
        record.strikes > f64::from(max)
    }
}

impl Record {
    fn excuses(&mut self, now: Instant) -> bool {
        let is_due = self.retry_times.front().is_some_and(|at| *at <= now + TOLERANCE);
        if is_due {
            self.retry_times.pop_front();
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use std::{cmp::Reverse, collections::BinaryHeap};

    use proptest::prelude::*;

    use super::*;
    use crate::limits::Bucket;

    const MS: Duration = Duration::from_millis(1);

    /// A client's reaction to a refusal.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Retry {
        OnTime,
        AtOnce,
    }

    /// Simulates a client that keeps `window` events in flight until `count` were accepted. Returns when that was, in
    /// milliseconds, or `None` if it was considered flooding before.
    fn run(limits: FloodLimits, cost: Cost, window: usize, count: usize, trip: &[u64], retry: Retry) -> Option<u64> {
        let start = Instant::now();
        let mut bucket = Bucket::full(limits.rate, start);
        let mut conduct = Conduct::default();
        let mut trips = trip.iter().cycle();
        // Milliseconds at which an event reaches the server.
        let mut arrivals: BinaryHeap<Reverse<u64>> = (0..window.min(count)).map(|_| Reverse(0)).collect();
        let (mut sent, mut accepted) = (arrivals.len(), 0);
        while let Some(Reverse(at)) = arrivals.pop() {
            let now = start + MS * u32::try_from(at).unwrap();
            match bucket.take_for(cost, limits.rate, now) {
                Ok(()) => {
                    conduct.passed(cost, now);
                    accepted += 1;
                    if accepted == count {
                        return Some(at);
                    }
                    if sent < count {
                        sent += 1;
                        arrivals.push(Reverse(at + trips.next().unwrap()));
                    }
                }
                Err(wait) => {
                    if conduct.refused(cost, wait, limits.strikes, now) {
                        return None;
                    }
                    let on_time = u64::try_from(wait.as_millis()).unwrap() + 1;
                    let wait = if retry == Retry::OnTime { on_time } else { 0 };
                    arrivals.push(Reverse(at + wait + trips.next().unwrap()));
                }
            }
        }
        unreachable!("the client retries every refused event");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        /// With any number of events in flight, up to the strikes, and any travel time: a client that respects the
        /// times to retry never counts as flooding, and all its events pass at the rate.
        #[test]
        fn a_client_that_waits_gets_all_events_through(
            rate in 1_u32..200, burst in 1_u32..300, strikes in 1_u32..300, cost in 1_u32..20,
            window in 1_usize..300, count in 1_usize..1_500, trips in prop::collection::vec(1_u64..400, 1..20)
        ) {
            let limits = FloodLimits { rate: Rate::new(rate, burst), strikes, payload: 0 };
            prop_assume!(cost <= strikes);
            let window = window.min((strikes / cost) as usize);
            let took = run(limits, Cost(f64::from(cost)), window, count, &trips, Retry::OnTime);
            prop_assert!(took.is_some(), "considered flooding");
            // A bucket that is full while an event travels earns nothing meanwhile; nor while an event waits that came a
            // little before its token, because the one before it travelled longer, and was sent to the end of the line.
            let needed = (count as u64 + 1) * u64::from(cost) * (2 * (1_000 / u64::from(rate) + 1) + 400);
            prop_assert!(took.unwrap() <= needed, "{took:?} of {needed} ms");
        }

        /// A client that retries at once counts as flooding, unless it finishes before.
        #[test]
        fn a_client_that_does_not_wait_floods(rate in 1_u32..200, burst in 1_u32..300, strikes in 1_u32..300, trip in 1_u64..4) {
            let limits = FloodLimits { rate: Rate::new(rate, burst), strikes, payload: 0 };
            prop_assert_eq!(run(limits, Cost::ONE, 4, 100_000, &[trip], Retry::AtOnce), None);
        }
    }

    #[test]
    fn more_than_the_burst_and_the_strikes_at_once_floods() {
        let (limits, now) = (FloodLimits { rate: Rate::new(10, 20), strikes: 5, payload: 0 }, Instant::now());
        let (mut bucket, mut conduct) = (Bucket::full(limits.rate, now), Conduct::default());
        let refused: Vec<_> = (0..30)
            .filter_map(|_| bucket.take(limits.rate, now).err())
            .map(|wait| conduct.refused(Cost::ONE, wait, limits.strikes, now))
            .collect();
        assert_eq!(refused, [false, false, false, false, false, true, true, true, true, true]);
        let mut patient = Conduct::default();
        assert!((0..10_000).all(|_| !patient.refused(Cost::ONE, MS, 0, now)) && patient.0.is_none());
        // Expensive events count as flooding sooner.
        let mut heavy = Conduct::default();
        let refused: Vec<_> = (0..3).map(|_| heavy.refused(Cost(2.5), MS * 100, 5, now)).collect();
        assert_eq!(refused, [false, false, true]);
    }
}
