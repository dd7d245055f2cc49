//! Measures how long a stored message takes from its sender to the members' queues on the same node. Samples one message
//! at a time, at most one per [`PACE`], so that measuring costs next to nothing.
//!
//! A message may be delivered before the log has returned its position, so deliveries meanwhile are recorded. Pure: all
//! times are arguments, from one clock.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use jackfield_cluster::log::Position;
use parking_lot::Mutex;

/// Shortest time between the starts of two laps.
const PACE: Duration = Duration::from_millis(100);
/// A lap without an end, because the room has no more members on this node, blocks the next one for this long.
const GIVE_UP: Duration = Duration::from_secs(30);
/// Most deliveries that are recorded until the log answers; with more, the lap is dropped.
const MAX_DELIVERIES: usize = 256;

/// The stopwatch of one room.
#[derive(Default)]
pub(super) struct Stopwatch {
    running: AtomicBool,
    lap: Mutex<Option<Lap>>,
}

struct Lap {
    begun: Instant,
    /// The message's position, once the log has returned it.
    position: Option<Position>,
    deliveries: Vec<(Position, Instant)>,
}

impl Stopwatch {
    /// Begins a lap if one is due, and returns the argument for [`Stopwatch::stored`].
    pub(super) fn begin(&self, now: Instant) -> Option<Instant> {
        let mut lap = self.lap.lock();
        let wait = if self.is_running() { GIVE_UP } else { PACE };
        if lap.as_ref().is_some_and(|last| now.duration_since(last.begun) < wait) {
            return None;
        }
        *lap = Some(Lap { begun: now, position: None, deliveries: Vec::new() });
        self.running.store(true, Ordering::Release);
        Some(now)
    }

    /// The log's answer for the lap that began at `begun`: a position, or `None` if nothing new was stored. Returns the
    /// lap's duration if this ends it.
    pub(super) fn stored(&self, begun: Instant, position: Option<Position>) -> Option<Duration> {
        let mut lap = self.lap.lock();
        let lap = lap.as_mut().filter(|lap| lap.begun == begun && self.is_running())?;
        let Some(position) = position else {
            self.stop();
            return None;
        };
        lap.position = Some(position);
        let &(delivered, at) = lap.deliveries.iter().find(|(delivered, _)| *delivered >= position)?;
        self.stop();
        // A later position means that this message was skipped, because the log began anew.
        (delivered == position).then(|| at - begun)
    }

    /// Whether deliveries have to be reported. Cheap enough to check for each one.
    pub(super) fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    /// Records that a message was queued for the last member. Returns the lap's duration if this ends it.
    pub(super) fn delivered(&self, position: Position, now: Instant) -> Option<Duration> {
        let mut lap = self.lap.lock();
        let lap = lap.as_mut().filter(|_| self.is_running())?;
        match lap.position {
            Some(wanted) if position < wanted => None,
            Some(wanted) => {
                self.stop();
                (position == wanted).then(|| now - lap.begun)
            }
            None => {
                if lap.deliveries.len() == MAX_DELIVERIES {
                    self.stop();
                } else {
                    lap.deliveries.push((position, now));
                }
                None
            }
        }
    }

    fn stop(&self) {
        self.running.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(number: u64) -> Position {
        Position { epoch: 1, number }
    }

    #[test]
    fn a_lap_ends_with_its_own_message_in_either_order() {
        let (watch, start) = (Stopwatch::default(), Instant::now());
        let lap = watch.begin(start).unwrap();
        assert_eq!(watch.stored(lap, Some(at(2))), None);
        assert_eq!(watch.delivered(at(1), start + MS), None);
        assert_eq!(watch.delivered(at(2), start + 5 * MS), Some(5 * MS));
        assert!(!watch.is_running());

        let later = start + PACE;
        let lap = watch.begin(later).unwrap();
        assert_eq!(watch.delivered(at(3), later + MS), None);
        assert_eq!(watch.delivered(at(4), later + 2 * MS), None);
        assert_eq!(watch.stored(lap, Some(at(3))), Some(MS));
        assert!(!watch.is_running());
    }

    #[test]
    fn laps_do_not_mix_and_a_lost_one_is_replaced() {
        let (watch, start) = (Stopwatch::default(), Instant::now());
        let lap = watch.begin(start).unwrap();
        assert_eq!(watch.begin(start + PACE), None, "one at a time");
        assert_eq!(watch.stored(lap, None), None);
        assert_eq!(watch.begin(start + PACE / 2), None, "not too often");
        let lost = watch.begin(start + PACE).unwrap();
        let next = watch.begin(start + PACE + GIVE_UP).unwrap();
        assert_eq!(watch.stored(lost, Some(at(1))), None, "another lap is running");
        assert_eq!(watch.stored(next, Some(at(2))), None);
        assert_eq!(watch.delivered(at(3), start + GIVE_UP * 2), None, "it was skipped");
        assert!(!watch.is_running());
    }

    #[test]
    fn the_recorded_deliveries_are_bounded() {
        let (watch, start) = (Stopwatch::default(), Instant::now());
        let lap = watch.begin(start).unwrap();
        for number in 0..=MAX_DELIVERIES as u64 {
            assert_eq!(watch.delivered(at(number), start + MS), None);
        }
        assert!(!watch.is_running());
        assert_eq!(watch.stored(lap, Some(at(1))), None);
    }
}
