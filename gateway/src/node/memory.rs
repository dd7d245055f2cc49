//! Returns unused memory to the system after many connections have closed.
//!
//! The allocator keeps the memory of closed connections: all 190 MB that 8,000 of them used. The node returns it once at
//! most half of the peak's connections are open and no more are closing. Not more often, because all threads that allocate
//! wait meanwhile: 0.1 s after these 8,000.

use std::{sync::Arc, time::Duration};

use crate::session::Shared;

const CHECK_EVERY: Duration = Duration::from_secs(5);
/// Fewer closed connections are not worth the pause.
const MIN: usize = 1_000;

/// The number of connections over time. Pure.
#[derive(Debug, Default)]
struct PeakTracker {
    /// The highest number since memory was last returned.
    peak: usize,
    last: usize,
}

impl PeakTracker {
    /// Records the present number of connections, and the highest since the last call. Returns whether to return memory.
    fn is_low(&mut self, now: usize, peak: usize) -> bool {
        let ending = now < self.last.max(peak);
        self.last = now;
        self.peak = self.peak.max(peak);
        let is_low = !ending && now <= self.peak / 2 && self.peak - now >= MIN;
        if is_low {
            self.peak = now;
        }
        is_low
    }
}

pub(super) async fn run(shared: Arc<Shared>) {
    let stopping = shared.lifecycle.stopping();
    let mut tracker = PeakTracker::default();
    while stopping.run_until_cancelled(tokio::time::sleep(CHECK_EVERY)).await.is_some() {
        if tracker.is_low(shared.limiter.count(), shared.limiter.take_peak()) {
            // On another thread, so that the workers continue until they allocate.
            drop(tokio::task::spawn_blocking(jackfield_memory::give_back).await);
            tracing::debug!(connections = shared.limiter.count(), "returned unused memory to the system");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_returned_once_many_have_closed_and_no_more_are_closing() {
        let mut tracker = PeakTracker::default();
        let counts = [0, 3_000, 8_000, 7_000, 3_000, 10, 10, 10, 900, 10, 10, 1_500, 900, 900, 500, 500];
        let low: Vec<_> = counts.iter().map(|now| tracker.is_low(*now, *now)).collect();
        let times: Vec<_> = low.iter().enumerate().filter(|(_, low)| **low).map(|(at, _)| at).collect();
        assert_eq!(times, [6, 15], "after 8,000, and after 1,500");
        let mut between = PeakTracker::default();
        let low = [(0, 2_000), (0, 0), (0, 0)].map(|(now, peak)| between.is_low(now, peak));
        assert_eq!(low, [false, true, false], "opened and closed between two checks");
    }
}
