//! One user's log in memory.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::{
    log::{Page, Position, Stored},
    now_micros,
    wire::UserEvent,
};

/// Events that a user's log keeps.
pub const KEPT: usize = 1_000;

/// See the module.
pub(crate) struct KeptEvents {
    end: Position,
    /// The last number before the epoch.
    base: u64,
    events: VecDeque<(Instant, Stored<Option<UserEvent>>)>,
}

impl KeptEvents {
    pub(crate) fn new(epoch: u64) -> Self {
        Self { end: Position { epoch, number: 0 }, base: 0, events: VecDeque::new() }
    }

    /// Its end. Begins a new epoch if it ends before this position.
    pub(crate) fn end(&mut self, seen: Position) -> Position {
        if self.end < seen {
            self.base = self.end.number;
            self.end.epoch = now_micros().max(seen.epoch + 1);
        }
        self.end
    }

    pub(crate) fn add(&mut self, event: &UserEvent, kept_for: Duration) -> Position {
        self.end.number += 1;
        self.events.push_back((Instant::now(), Stored { position: self.end, body: Some(event.clone()) }));
        self.forget_old(kept_for);
        self.end
    }

    pub(crate) fn after(&mut self, seen: Position, empty: Position, kept_for: Duration) -> Page<Option<UserEvent>> {
        self.forget_old(kept_for);
        let end = self.end(seen);
        let after = self.events.iter().map(|(_, stored)| stored).filter(|stored| stored.position.number > seen.number);
        Page { end, base: self.base, earlier: Vec::new(), messages: after.cloned().collect(), empty, kept_for }
    }

    fn forget_old(&mut self, kept_for: Duration) {
        while self.events.front().is_some_and(|(at, _)| at.elapsed() > kept_for) || self.events.len() > KEPT {
            self.events.pop_front();
        }
    }
}
