//! How a room's task lets sockets in: from what it keeps, or from the log, which those who come together ask together.
//!
//! What a join is told is what the log held up to the cursor, the position that the members here have come to. A message
//! may have been acknowledged elsewhere before the join was asked for and not have come over the bus yet: then it is beyond
//! the cursor, and comes live, after the acknowledgement, whose `position` is the cursor's. That is what is promised:
//! everything after `position` is heard, once and in order; and nobody who comes back is told less than he saw, because a
//! `since` beyond the cursor makes the log be read first. It is the same whether the piece up to the cursor is read from
//! the log or was kept: a message's place and text never change, and what was lost with a log that began anew is said to
//! those who are in as it is to every other member.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use tokio::sync::oneshot;

use super::{
    cursor::Cursor,
    join::{FIRST, Joined, Joining, recent_messages, widest},
    registry::Input,
    task::Task,
    window::Window,
};
use crate::{
    cluster::{
        Unavailable,
        bus::Channel,
        log::{Page, Position, Range},
    },
    engine::Frame,
};

/// The newest are read with so many more: what is beyond the cursor is not shown, and there are to be fifty all the same.
const SPARE: usize = 50;

/// Somebody who wants to come in.
pub(super) struct Waiting {
    pub(super) joining: Joining,
    pub(super) done: oneshot::Sender<Result<Joined, Unavailable>>,
}

/// The last `recent-messages`, for the next who is told the same: the end, the first message's number, and how many.
type Told = Option<((Position, u64, usize), Vec<Frame>)>;

impl Task {
    /// One after the other; joins that follow each other together.
    pub(super) async fn handle_all(&mut self, arrived: &mut Vec<Input>) {
        let mut together = Vec::new();
        for input in arrived.drain(..) {
            if let Input::Join(joining, done) = input {
                together.push(Waiting { joining, done });
                continue;
            }
            self.join_all(std::mem::take(&mut together)).await;
            self.handle(input).await;
        }
        self.join_all(together).await;
    }

    pub(super) async fn join_all(&mut self, mut waiting: Vec<Waiting>) {
        // Who does not wait any more is put out by whoever gave up waiting.
        waiting.retain(|one| !one.done.is_closed() && !one.joining.client.is_gone());
        if !waiting.is_empty() && self.let_in(&mut waiting).await.is_err() {
            for one in waiting {
                let _ = one.done.send(Err(Unavailable));
            }
        }
    }

    /// Lets them in and takes them out of `waiting`.
    async fn let_in(&mut self, waiting: &mut Vec<Waiting>) -> Result<(), Unavailable> {
        self.open().await?;
        let mut told = None;
        let mut behind = self.signals.missed.load(Ordering::Acquire);
        let mut caught_up = false;
        loop {
            if behind {
                if !self.catch_up().await {
                    return Err(Unavailable);
                }
                (behind, caught_up) = (false, true);
            }
            let end = self.at()?;
            let now = Instant::now();
            let is_ahead = |joining: &Joining| !caught_up && joining.since().is_ahead(end);
            for one in std::mem::take(waiting) {
                let (range, count) = one.joining.since().range(end);
                match self.recent.read(range, count, end, now) {
                    Some(page) if !is_ahead(&one.joining) => self.admit(one, &page, end, &mut told),
                    _ => waiting.push(one),
                }
            }
            if waiting.iter().any(|one| is_ahead(&one.joining)) {
                behind = true;
                continue;
            }
            let Some((range, count)) = widest(waiting.iter().map(|one| one.joining.since().range(end))) else {
                return Ok(());
            };
            let most = if range == Range::Newest { count + SPARE } else { count };
            let page = self.node.cluster.log.read(&self.name, range, most, Some(end)).await?;
            if page.end.epoch != end.epoch {
                // The log began anew in between: those who are in are told first.
                behind = true;
                continue;
            }
            let window = Window::of(&page, range, most, end, now);
            for one in std::mem::take(waiting) {
                let wanted = one.joining.since().range(end);
                // Those whose own piece this is are answered whatever it holds, so that this ends.
                if wanted == (range, count) {
                    self.admit(one, &page, end, &mut told);
                } else if let Some(page) = window.read(wanted.0, wanted.1, end, now) {
                    self.admit(one, &page, end, &mut told);
                } else {
                    waiting.push(one);
                }
            }
            self.recent.fill(window, now);
        }
    }

    /// Nothing is heard here before the first one comes.
    async fn open(&mut self) -> Result<(), Unavailable> {
        if self.cursor.is_none() {
            let (node, name) = (Arc::clone(&self.node), self.name.clone());
            node.cluster.bus.subscribe(&[Channel::Room(name.clone())]).await?;
            let (range, count) = (FIRST.0, FIRST.1 + SPARE);
            let asked = Instant::now();
            let page = node.cluster.log.read(&name, range, count, None).await?;
            self.cursor = Some(Cursor::new(page.end));
            self.recent.fill(Window::of(&page, range, count, page.end, asked), asked);
        }
        Ok(())
    }

    fn at(&self) -> Result<Position, Unavailable> {
        self.cursor.map(Cursor::at).ok_or(Unavailable)
    }

    fn admit(&mut self, Waiting { joining, done }: Waiting, page: &Page, end: Position, told: &mut Told) {
        let client = &joining.client;
        if !self.places.contains_key(&client.id) {
            self.places.insert(Arc::clone(&client.id), self.members.len());
            self.members.push(Arc::clone(client));
        }
        let shown = joining.since().shown(page, end);
        let first = page.messages[shown.clone()].first().map_or(0, |message| message.number);
        let same = (end, first, shown.len());
        if told.as_ref().is_none_or(|(present, _)| *present != same) {
            *told = Some((same, recent_messages(&self.name, page, shown)));
        }
        let recent = told.as_ref().map_or(&[][..], |(_, frames)| frames);
        joining.tell(&self.name.name, recent, end, joining.since().recovered(page, end));
        let _ = done.send(Ok(Joined { position: end }));
    }
}
