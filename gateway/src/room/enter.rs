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
    join::{FIRST, JoinError, Joined, Joining, PER_EVENT, Wanted, part, recent_messages, widest},
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
    pub(super) done: oneshot::Sender<Result<Joined, JoinError>>,
}

/// The last `recent-messages`, for the next who is told the same: the end, the first message's number, how many, and
/// whether there are more.
type Told = Option<((Position, u64, usize, bool), Vec<Frame>)>;

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
                let _ = one.done.send(Err(JoinError::Unavailable));
            }
        }
    }

    /// Lets them in, or tells them a part of what they missed, and takes them out of `waiting`.
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
            let empty = self.node.cluster.log.empty().await?;
            let now = Instant::now();
            let is_ahead = |joining: &Joining| !caught_up && joining.is_ahead(end);
            for one in std::mem::take(waiting) {
                let wanted = one.joining.wanted(end, empty);
                if let (Wanted::After { number, .. }, Some(wait)) = (wanted, one.joining.wait(now))
                    && end.number.saturating_sub(number) > PER_EVENT as u64
                {
                    let _ = one.done.send(Err(JoinError::TooSoon { wait, bytes: 0 }));
                    continue;
                }
                let (range, count) = wanted.range();
                match self.recent.read(range, count, end, now) {
                    Some(page) if !is_ahead(&one.joining) => {
                        waiting.extend(self.answer(one, wanted, &page, end, &mut told));
                    }
                    _ => waiting.push(one),
                }
            }
            if waiting.iter().any(|one| is_ahead(&one.joining)) {
                behind = true;
                continue;
            }
            let ranges = waiting.iter().map(|one| one.joining.wanted(end, empty).range());
            let Some((range, count)) = widest(ranges) else { return Ok(()) };
            let most = if range == Range::Newest { count + SPARE } else { count };
            let page = self.node.cluster.log.read(&self.name, range, most, Some(end)).await?;
            if page.end.epoch != end.epoch {
                // The log began anew in between: those who are in are told first.
                behind = true;
                continue;
            }
            let window = Window::of(&page, range, most, end, now);
            for one in std::mem::take(waiting) {
                let wanted = one.joining.wanted(end, empty);
                let own = wanted.range();
                // Those whose own piece this is are answered whatever it holds, so that this ends.
                let part = match (range, own.0) {
                    _ if own == (range, count) => Some(page.clone()),
                    (Range::After(number), Range::After(later)) => part(&page, number, later),
                    _ => None,
                };
                match part.or_else(|| window.read(own.0, own.1, end, now)) {
                    Some(page) => waiting.extend(self.answer(one, wanted, &page, end, &mut told)),
                    None => waiting.push(one),
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
            self.signals.begun.store(page.end.number > 0, Ordering::Release);
            self.recent.fill(Window::of(&page, range, count, page.end, asked), asked);
        }
        Ok(())
    }

    fn at(&self) -> Result<Position, Unavailable> {
        self.cursor.map(Cursor::at).ok_or(Unavailable)
    }

    /// Tells a socket what the page has for it, and lets it in where that is all. Gives it back where what it asks for is
    /// not kept any more: it is told the newest instead.
    fn answer(
        &mut self,
        mut one: Waiting,
        wanted: Wanted,
        page: &Page,
        end: Position,
        told: &mut Told,
    ) -> Option<Waiting> {
        if !wanted.is_kept(page, end) {
            one.joining.lost = true;
            return Some(one);
        }
        let Waiting { joining, done } = one;
        let (shown, more) = wanted.shown(page, end);
        let messages = &page.messages[shown.clone()];
        let is_long = more || shown.len() > PER_EVENT;
        if let (true, Some(wait)) = (is_long, joining.wait(Instant::now())) {
            let bytes = messages.iter().map(|message| message.body.len()).sum();
            let _ = done.send(Err(JoinError::TooSoon { wait, bytes }));
            return None;
        }
        let first = messages.first().map_or(0, |message| message.number);
        let last = messages.last().map_or(end.number, |message| message.number);
        let same = (end, first, shown.len(), more);
        if told.as_ref().is_none_or(|(present, _)| *present != same) {
            *told = Some((same, recent_messages(&self.name, page, shown, more)));
        }
        let recent = told.as_ref().map_or(&[][..], |(_, frames)| frames);
        let name = Arc::clone(&self.name.name);
        if more {
            // Nothing live comes in between.
            self.leave(&joining.client.id);
            self.guests.insert(Arc::clone(&joining.client.id));
            let bytes = joining.tell(&name, recent);
            let _ = done.send(Ok(Joined::More { told: Position { number: last, ..end }, bytes }));
            return None;
        }
        let client = &joining.client;
        self.guests.remove(&client.id);
        if !self.places.contains_key(&client.id) {
            self.places.insert(Arc::clone(&client.id), self.members.len());
            self.members.push(Arc::clone(client));
        }
        let bytes = joining.tell(&name, recent);
        let recovered = match wanted {
            Wanted::Newest(recovered) => recovered,
            Wanted::After { .. } => Some(true),
        };
        joining.acknowledge(&name, end, recovered);
        let _ = done.send(Ok(Joined::In { position: end, bytes, is_long }));
        None
    }
}
