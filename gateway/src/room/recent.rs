//! The newest messages, which a room's worker keeps in memory while sockets join.
//!
//! Guarantees: a room keeps at most [`ROOM`] bytes, all rooms of a node together at most their [`Budget`], and a room
//! without joins for [`IDLE`] keeps nothing, so that ten thousand quiet rooms cost nothing. A join that cannot be
//! answered from here reads the log, and its page is kept for the next join.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jackfield_cluster::log::{Page, Position, Range};

use super::{
    budget::{Budget, Share},
    window::Window,
};
use jackfield_shared::time::now;

/// Most bytes of one room: the newest 50 of maximum length in plain text, or about 800 of usual length.
const ROOM: usize = 256 * 1024;
/// How long messages are kept after the last join. If many clients reconnect, they do so within seconds; rarer joins
/// may read the log.
const IDLE: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Recent {
    window: Option<Box<Window>>,
    share: Share,
    idle_at: Instant,
}

impl Recent {
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        Self { window: None, share: Share::new(budget), idle_at: now() }
    }

    /// Adds a delivered message, live or from the log.
    pub(super) fn push(&mut self, position: Position, body: &Arc<str>) {
        if let Some(mut window) = self.window.take()
            && window.push(position, body)
        {
            self.window = Some(window);
        }
        self.fit();
    }

    /// Keeps a window that was read from the log for a join, unless the present one is better.
    pub(super) fn fill(&mut self, window: Window, now: Instant) {
        self.idle_at = now + IDLE;
        if self.window.as_ref().is_none_or(|present| window.is_better_than(present, now)) {
            self.window = Some(Box::new(window));
            self.fit();
        }
    }

    /// The log's answer for members at `end`, if it is known here.
    pub(super) fn read(&mut self, range: Range, count: usize, end: Position, now: Instant) -> Option<Page> {
        let page = self.window.as_ref()?.read(range, count, end, now)?;
        self.idle_at = now + IDLE;
        Some(page)
    }

    /// Whether messages are kept.
    pub(super) fn is_kept(&self) -> bool {
        self.window.is_some()
    }

    /// Drops the messages if no socket has joined for [`IDLE`].
    pub(super) fn forget(&mut self, now: Instant) {
        if now >= self.idle_at {
            self.window = None;
            self.fit();
        }
    }

    fn fit(&mut self) {
        let bytes = self.window.as_mut().map_or(0, |window| {
            window.shrink(ROOM);
            window.bytes()
        });
        if !self.share.resize(bytes) {
            self.window = None;
            self.share.resize(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::budget;
    use jackfield_cluster::log::{KEPT_FOR, Stored};

    /// A hundred messages of that length.
    fn page(length: usize) -> Page {
        let body: Arc<str> = "x".repeat(length).into();
        let messages = (1..=100)
            .map(|number| Stored { position: Position { epoch: 1, number }, body: Arc::clone(&body) })
            .collect();
        let (end, empty) = (Position { epoch: 1, number: 100 }, Position { epoch: 0, number: 0 });
        Page { end, base: 0, earlier: vec![], messages, empty, kept_for: KEPT_FOR }
    }

    fn filled(budget: &Arc<Budget>, length: usize) -> Recent {
        let (page, now) = (page(length), Instant::now());
        let mut recent = Recent::new(Arc::clone(budget));
        recent.fill(Window::of(&page, Range::Newest, 100, page.end, now), now);
        recent
    }

    fn answers(recent: &mut Recent) -> bool {
        recent.read(Range::Newest, 50, page(0).end, Instant::now()).is_some()
    }

    #[test]
    fn ten_thousand_rooms_keep_no_more_than_their_budget() {
        let budget = Arc::default();
        let mut rooms: Vec<_> = (0..10_000).map(|_| filled(&budget, 1_000)).collect();
        let held = rooms.iter_mut().filter_map(|room| answers(room).then_some(room.window.as_ref()?.bytes()));
        let held: Vec<_> = held.collect();
        assert!(held.len() > 100 && held.iter().sum::<usize>() <= budget::MAX);
        rooms.clear();
        assert!(answers(&mut filled(&budget, 1_000)), "the budget is free again");
    }

    #[test]
    fn a_room_keeps_the_newest_that_fit() {
        let budget = Arc::default();
        let mut recent = filled(&budget, 4_096);
        assert!(answers(&mut recent), "fifty of maximum length");
        assert!(recent.window.as_ref().is_some_and(|window| window.bytes() <= ROOM));
        for number in 101..200 {
            recent.push(Position { epoch: 1, number }, &"y".repeat(10_000).into());
        }
        assert!(recent.window.as_ref().is_some_and(|window| window.bytes() <= ROOM));
        recent.push(Position { epoch: 1, number: 201 }, &"a gap".into());
        assert!(recent.window.is_none());
    }

    #[test]
    fn messages_are_dropped_without_joins() {
        let mut recent = filled(&Arc::default(), 10);
        assert!(answers(&mut recent));
        let last = recent.idle_at - IDLE;
        recent.forget(last + IDLE / 2);
        assert!(recent.is_kept());
        recent.forget(last + IDLE);
        assert!(!recent.is_kept() && !answers(&mut recent));
        assert!(recent.share.resize(budget::MAX), "the budget is free again");
    }
}
