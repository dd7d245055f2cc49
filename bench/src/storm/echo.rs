//! The witnesses' echoes.

use std::collections::HashMap;

use crate::histogram::Histogram;

/// Times of echoes before the storm and during it.
#[derive(Default)]
pub struct Echoes {
    under_way: HashMap<usize, u64>,
    recording: bool,
    storm: bool,
    /// Before the servers were killed.
    pub calm: Histogram,
    /// From then on.
    pub stormy: Histogram,
}

impl Echoes {
    /// Records from now on, or not.
    pub fn record(&mut self, on: bool) {
        self.recording = on;
    }

    /// The storm begins.
    pub fn next_phase(&mut self) {
        self.storm = true;
        self.under_way.clear();
    }

    pub fn sent(&mut self, who: usize, now: u64) {
        self.under_way.insert(who, now);
    }

    /// Whether an echo of this client was under way.
    pub fn answered(&mut self, who: usize, now: u64) -> bool {
        let Some(sent) = self.under_way.remove(&who) else { return false };
        if self.recording {
            let histogram = if self.storm { &mut self.stormy } else { &mut self.calm };
            histogram.add(now.saturating_sub(sent));
        }
        true
    }
}
