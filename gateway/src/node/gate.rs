//! How many connections there are, and how fast new ones may come.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use parking_lot::Mutex;

use crate::{client::TokenBucket, settings::Limits};

/// See the module.
pub struct Gate {
    open: AtomicUsize,
    turns: Mutex<TokenBucket>,
}

impl Gate {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { open: AtomicUsize::new(0), turns: Mutex::new(TokenBucket::full(limits.connect_rate, Instant::now())) }
    }

    /// Whether one more may come in now. Several at the same instant may go over the limit by as many.
    pub fn enter(&self, limits: &Limits) -> bool {
        let full = limits.connections > 0 && self.count() >= limits.connections as usize;
        let rate = limits.connect_rate;
        !full && (rate == 0 || self.turns.lock().take(rate, rate, Instant::now()).is_ok())
    }

    /// How many connections are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// A connection is open.
    pub fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection is gone.
    pub fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}
