//! How a room's task admits sockets: from the messages in memory, or from the log. Joins that arrive together share
//! their reads of the log.
//!
//! A join is answered with the log up to the cursor, the position that the members here have reached. A message
//! acknowledged elsewhere before the join may not have arrived over the bus yet: it is then beyond the cursor, and the
//! socket receives it live, after the acknowledgement, whose `position` is the cursor's. This is the guarantee: a
//! socket receives everything after `position`, once and in order. If a returning client's `since` is beyond the
//! cursor, the task reads the log first, so the client does not get less than it already saw. Both hold whether the
//! messages up to the cursor come from the log or from memory: a message's position and text never change, and when a
//! log begins anew, these sockets are reset like every other member.

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

/// Extra messages in a read of the newest: those beyond the cursor are not sent, and fifty should remain.
const SPARE: usize = 50;

/// A socket that waits to be admitted.
pub(super) struct Waiting {
    pub(super) joining: Joining,
    pub(super) done: oneshot::Sender<Result<Joined, JoinError>>,
}

/// The last encoded `recent-messages`, reused for the next socket with the same answer, that is: the end, the first
/// message's number, the count, and whether there is more.
type Told = Option<((Position, u64, usize, bool), Vec<Frame>)>;

impl Task {
    /// Handles the inputs in order, and consecutive joins together.
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
        // A caller that gave up waiting removes its socket itself.
        waiting.retain(|one| !one.done.is_closed());
        // An unanswered caller would take this task for ended, and ask again at once.
        for one in waiting.extract_if(.., |one| one.joining.client.is_gone()) {
            let _ = one.done.send(Err(JoinError::Unavailable));
        }
        if !waiting.is_empty() && self.let_in(&mut waiting).await.is_err() {
            for one in waiting {
                let _ = one.done.send(Err(JoinError::Unavailable));
            }
        }
    }

    /// Admits them, or sends them one part of the missed messages, and takes them out of `waiting`.
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
                // The log began anew meanwhile: reset the members first.
                behind = true;
                continue;
            }
            let window = Window::of(&page, range, most, end, now);
            for one in std::mem::take(waiting) {
                let wanted = one.joining.wanted(end, empty);
                let own = wanted.range();
                // A join for exactly this piece is answered with it, however much it contains, so that the loop ends.
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

    /// Subscribes and sets the cursor for the first join; until then the room receives nothing.
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

    /// Sends a socket its part of the page, and admits it if no more remains. Returns it if the messages it asks for
    /// are no longer kept: it gets the newest instead.
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
            // The socket receives nothing live between the rounds.
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
