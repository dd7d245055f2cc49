//! A listener's connection, and what is known of it.

use std::{sync::Arc, time::Instant};

use super::ledger::Ledger;
use crate::{partition::Partition, redis::wire::Wire};

/// See the module.
pub(super) struct Connection {
    pub(super) wire: Wire,
    pub(super) ledger: Ledger,
    /// Channels to look at.
    pub(super) work: Vec<Arc<str>>,
    /// The book has more channels to look at.
    pub(super) is_woken: bool,
    /// Channels that the server refused, or unsubscribed by itself: to be looked at again with the next tick.
    pub(super) again: Vec<Arc<str>>,
    /// The channel of the probes.
    pub(super) probe: Option<(Partition, Arc<str>)>,
    /// Number of channels for probes so far.
    pub(super) probes: usize,
    /// The patterns of emitters are subscribed to.
    pub(super) has_emitters: bool,
    /// The book may have a gap for this place.
    pub(super) may_owe: bool,
    /// Number of ticks in a row at which the book had one.
    pub(super) owed_for: u8,
    /// When the last probe arrived.
    pub(super) alive_at: Instant,
    /// The last probe was too long ago at the last tick, and nothing has arrived since.
    pub(super) is_silent: bool,
}

impl Connection {
    /// Without subscriptions.
    pub(super) fn new(wire: Wire) -> Self {
        Self {
            wire,
            ledger: Ledger::default(),
            work: Vec::new(),
            is_woken: true,
            again: Vec::new(),
            probe: None,
            probes: 0,
            has_emitters: false,
            may_owe: true,
            owed_for: 0,
            alive_at: Instant::now(),
            is_silent: false,
        }
    }
}
