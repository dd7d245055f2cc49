//! The connections of one shard by the time of their next ping: a ring of slices of time, which two hands go round.
//!
//! The first hand pings the connections of its slice. The second follows it by the ping timeout, and closes those that
//! have sent nothing since. Guarantees: the first ping comes after the interval, at most one slice early; a connection
//! ends one timeout after an unanswered ping; nothing here is a timer of one connection. Time is counted in slices that
//! have begun, so a process that stood still ends nobody for that.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

/// Longest slice.
const LONGEST: Duration = Duration::from_millis(100);
/// Slices of the shorter of interval and timeout, if these would be shorter than [`LONGEST`].
const PARTS: u32 = 10;
/// Shortest slice.
const SHORTEST: Duration = Duration::from_millis(5);

/// Durations in slices.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Length of a slice.
    pub(super) slice: Duration,
    interval: u32,
    timeout: u32,
}

impl Pace {
    pub(super) fn new(interval: Duration, timeout: Duration) -> Self {
        let slice = (interval.min(timeout) / PARTS).clamp(SHORTEST, LONGEST);
        let slices = |duration: Duration| duration.as_nanos().div_ceil(slice.as_nanos()).clamp(1, 1 << 30) as u32;
        Self { slice, interval: slices(interval), timeout: slices(timeout) }
    }

    /// Whether a connection that [`Turn::ping`] contains in slice `now`, and that sent its last packet in slice `heard`,
    /// has answered its last ping. If not, it is not pinged again.
    pub(super) fn has_answered(self, heard: u32, now: u32) -> bool {
        now.wrapping_sub(heard) <= self.interval
    }

    /// Whether a connection that [`Turn::check`] contains in slice `now`, and that sent its last packet in slice `heard`,
    /// has sent nothing since its ping.
    pub(super) fn is_over(self, heard: u32, now: u32) -> bool {
        now.wrapping_sub(heard) > self.timeout
    }
}

/// See the module.
pub(super) struct Ring<W> {
    slices: Vec<Vec<Weak<W>>>,
    pace: Pace,
    now: u32,
}

/// The connections whose turn a slice is.
pub(super) struct Turn<W> {
    /// To be closed if they are over.
    pub(super) check: Vec<Arc<W>>,
    /// To be pinged after that.
    pub(super) ping: Vec<Arc<W>>,
}

impl<W> Ring<W> {
    pub(super) fn new(pace: Pace) -> Self {
        let slices = (0..pace.interval).map(|_| Vec::new()).collect();
        Self { slices, pace, now: 0 }
    }

    /// Adds a connection, whose first ping comes after a whole interval.
    pub(super) fn add(&mut self, connection: &Arc<W>) {
        let place = self.now % self.pace.interval;
        self.slices[place as usize].push(Arc::downgrade(connection));
    }

    /// Begins the next slice, and returns its number. Connections that have ended are forgotten.
    pub(super) fn advance(&mut self, is_ended: impl Fn(&W) -> bool) -> (u32, Turn<W>) {
        self.now = self.now.wrapping_add(1);
        let place = |slice: u32| (slice % self.pace.interval) as usize;
        let ping = place(self.now);
        // The slice that was pinged one timeout ago.
        let check = place(self.now.wrapping_add(self.pace.interval - self.pace.timeout % self.pace.interval));
        let turn = Turn { ping: self.take(ping, &is_ended), check: self.take(check, &is_ended) };
        (self.now, turn)
    }

    /// Every connection.
    pub(super) fn all(&self) -> Vec<Arc<W>> {
        self.slices.iter().flatten().filter_map(Weak::upgrade).collect()
    }

    fn take(&mut self, place: usize, is_ended: impl Fn(&W) -> bool) -> Vec<Arc<W>> {
        let slice = &mut self.slices[place];
        let mut live = Vec::with_capacity(slice.len());
        slice.retain(|connection| match connection.upgrade().filter(|connection| !is_ended(connection)) {
            Some(connection) => {
                live.push(connection);
                true
            }
            None => false,
        });
        slice.shrink_to(live.len() * 2);
        live
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pace(interval: u64, timeout: u64) -> Pace {
        Pace::new(Duration::from_millis(interval), Duration::from_millis(timeout))
    }

    #[test]
    fn slices_are_short_for_short_intervals() {
        assert_eq!(pace(25_000, 20_000).slice, LONGEST);
        assert_eq!(pace(300, 200).slice, Duration::from_millis(20));
        assert_eq!(pace(1, 1).slice, SHORTEST);
    }

    proptest! {
        /// A connection that answers pings and then falls silent ends one timeout after the first unanswered ping.
        #[test]
        fn silent_connections_end_in_time(
            interval in 10u64..400,
            timeout in 10u64..1_200,
            begin in 0u32..50,
            silent in 0u32..300,
        ) {
            let pace = pace(interval, timeout);
            let mut ring = Ring::new(pace);
            for _ in 0..begin {
                ring.advance(|()| false);
            }
            let connection = Arc::new(());
            ring.add(&connection);
            let (mut heard, mut pings) = (begin, Vec::new());
            let over = loop {
                let (now, turn) = ring.advance(|()| false);
                if !turn.check.is_empty() && pace.is_over(heard, now) {
                    break now;
                }
                if !turn.ping.is_empty() && pace.has_answered(heard, now) {
                    pings.push(now);
                }
                if now <= begin + silent {
                    heard = now;
                }
                prop_assert!(now < begin + silent + 4 * (pace.interval + pace.timeout));
            };
            prop_assert_eq!(pings[0], begin + pace.interval);
            prop_assert!(pings.windows(2).all(|pair| pair[1] - pair[0] == pace.interval));
            let unanswered = pings.iter().find(|ping| **ping > heard).copied().unwrap_or_default();
            prop_assert_eq!(over, unanswered + pace.timeout);
        }
    }

    #[test]
    fn ended_and_dropped_connections_are_forgotten() {
        let mut ring = Ring::new(pace(100, 100));
        let (kept, dropped) = (Arc::new(1), Arc::new(2));
        ring.add(&kept);
        ring.add(&dropped);
        drop(dropped);
        assert_eq!(ring.all(), vec![Arc::clone(&kept)]);
        for _ in 0..20 {
            ring.advance(|number| *number == 1);
        }
        assert!(ring.all().is_empty());
    }
}
