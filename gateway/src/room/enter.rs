//! A room's worker admits sockets with the messages that they missed, from memory or from the log. Joins that arrive
//! together share their reads of the log.
//!
//! The answer to a join contains the log up to the cursor, the position that the members on this node have reached. A
//! message acknowledged on another node before the join may not have arrived over the bus yet: then it is after the
//! cursor, and the socket receives it live, after the acknowledgement, whose `position` is the cursor's. Guarantees: a
//! socket receives everything after `position`, once and in order; if a returning client's `since` is after the cursor,
//! the worker reads the log first, so that the answer contains no less than the client has seen. Both hold whether the
//! messages up to the cursor come from memory or from the log, because a message's position and text never change, and
//! because a new epoch of the log resets these sockets like all members.

use std::sync::Arc;

use jackfield_cluster::{
    Unavailable,
    bus::Channel,
    log::{Page, Position, Range},
};
use jackfield_engine::Frame;
use jackfield_shared::time::now;
use tokio::sync::oneshot;

use super::{
    back_end::BackEnd,
    join::{FIRST, JoinError, Joined, Joining, Occupant, PER_EVENT, Wanted, part, recent_messages, widest},
    window::Window,
    worker::Worker,
};

/// Additional messages in a read of the newest: those after the cursor are not sent, and fifty should remain.
const SPARE: usize = 50;

/// A socket that waits to be admitted. Dropped, it is refused as [`JoinError::Unavailable`].
pub(super) struct Waiting<M> {
    pub(super) joining: Joining<M>,
    pub(super) done: oneshot::Sender<Result<Joined, JoinError>>,
}

/// The last encoded `recent-messages`, reused for the next socket that gets the same: same end, first number, count,
/// and whether there is more.
type Encoded = Option<((Position, u64, usize, bool), Vec<Frame>)>;

impl<M: Occupant> Worker<M> {
    pub(super) async fn admit_together(&mut self, back_end: &BackEnd, mut waiting: Vec<Waiting<M>>) {
        // A caller that timed out removes its socket itself.
        waiting.retain(|one| !one.done.is_closed() && !one.joining.member.is_gone());
        if !waiting.is_empty() && self.admit_all(back_end, &mut waiting).await.is_err() {
            waiting.clear();
        }
    }

    /// Admits these sockets, or sends each the next part of its missed messages, and removes them from `waiting`.
    async fn admit_all(&mut self, back_end: &BackEnd, waiting: &mut Vec<Waiting<M>>) -> Result<(), Unavailable> {
        self.open(back_end).await?;
        let mut encoded = None;
        let mut behind = self.local.signals.log.is_behind();
        let mut caught_up = false;
        loop {
            if behind {
                if !self.repair().await {
                    return Err(Unavailable);
                }
                (behind, caught_up) = (false, true);
            }
            let end = self.at()?;
            let empty = back_end.log.empty(&self.local.name).await?;
            let now = now();
            let is_ahead = |joining: &Joining<M>| !caught_up && joining.is_ahead(end);
            for one in std::mem::take(waiting) {
                if one.joining.is_silent {
                    self.admit_silently(one, end);
                    continue;
                }
                let wanted = one.joining.wanted(end, empty);
                if one.joining.is_back && matches!(wanted, Wanted::Newest(_)) && !is_ahead(&one.joining) {
                    let _ = one.done.send(Err(JoinError::Lost));
                    continue;
                }
                if let (Wanted::After { number, .. }, Some(wait)) = (wanted, one.joining.wait(now))
                    && end.number.saturating_sub(number) > PER_EVENT as u64
                {
                    let _ = one.done.send(Err(JoinError::TooSoon { wait, bytes: 0 }));
                    continue;
                }
                let (range, count) = wanted.range();
                match self.local.recent.read(range, count, end, now) {
                    Some(page) if !is_ahead(&one.joining) => {
                        waiting.extend(self.answer(one, wanted, &page, end, &mut encoded));
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
            let max = if range == Range::Newest { count + SPARE } else { count };
            let page = back_end.log.read(&self.local.name, range, max, Some(end)).await?;
            if page.end.epoch != end.epoch {
                // The log began a new epoch meanwhile: reset the members first.
                behind = true;
                continue;
            }
            let window = Window::of(&page, range, max, end, now);
            for one in std::mem::take(waiting) {
                let wanted = one.joining.wanted(end, empty);
                let own = wanted.range();
                // A join that needs exactly this page is always answered with it, so that the loop ends.
                let part = match (range, own.0) {
                    _ if own == (range, count) => Some(page.clone()),
                    (Range::After(number), Range::After(later)) => part(&page, number, later),
                    _ => None,
                };
                match part.or_else(|| window.read(own.0, own.1, end, now)) {
                    Some(page) => waiting.extend(self.answer(one, wanted, &page, end, &mut encoded)),
                    None => waiting.push(one),
                }
            }
            self.local.recent.fill(window, now);
        }
    }

    /// Subscribes to the room's channel and sets the cursor, for the first join.
    async fn open(&mut self, back_end: &BackEnd) -> Result<(), Unavailable> {
        if self.follower.at().is_none() {
            let name = &self.local.name;
            back_end.bus.subscribe(&[Channel::Room(name.clone())]).await?;
            let (range, count) = (FIRST.0, FIRST.1 + SPARE);
            let asked = now();
            let page = back_end.log.read(name, range, count, None).await?;
            self.follower.begin(&page);
            self.local.signals.at(page.end);
            self.local.recent.fill(Window::of(&page, range, count, page.end, asked), asked);
        }
        Ok(())
    }

    fn at(&self) -> Result<Position, Unavailable> {
        self.follower.at().ok_or(Unavailable)
    }

    /// Admits a socket that a backend lets in: it gets everything after `end`, and nothing before.
    fn admit_silently(&mut self, Waiting { joining, done }: Waiting<M>, end: Position) {
        let bytes = joining.send_joined(&self.local.name, end);
        self.local.members.join(Arc::clone(&joining.member));
        let _ = done.send(Ok(Joined::In { position: end, bytes, is_long: false }));
    }

    /// Sends a socket its part of the page, and admits the socket if nothing remains. Returns the socket if the
    /// messages that it missed are no longer kept: then it gets the newest instead.
    fn answer(
        &mut self,
        mut one: Waiting<M>,
        wanted: Wanted,
        page: &Page,
        end: Position,
        encoded: &mut Encoded,
    ) -> Option<Waiting<M>> {
        if !wanted.is_kept(page, end) {
            if one.joining.is_back {
                let _ = one.done.send(Err(JoinError::Lost));
                return None;
            }
            one.joining.lost = true;
            return Some(one);
        }
        let Waiting { joining, done } = one;
        let (to_send, more) = wanted.to_send(page, end);
        let messages = &page.messages[to_send.clone()];
        let is_long = more || to_send.len() > PER_EVENT;
        if let (true, Some(wait)) = (is_long, joining.wait(now())) {
            let bytes = messages.iter().map(|message| message.body.len()).sum();
            let _ = done.send(Err(JoinError::TooSoon { wait, bytes }));
            return None;
        }
        let socket = joining.member.id();
        if more {
            // Between the rounds the socket receives no live message.
            self.local.members.leave(&joining.member);
            self.pending.insert(socket);
        } else {
            self.pending.remove(&socket);
        }
        let name = &self.local.name;
        let last = messages.last().map_or(end.number, |message| message.position.number);
        let bytes = if joining.is_back {
            joining.send_missed(name, messages)
        } else {
            let first = messages.first().map_or(0, |message| message.position.number);
            let same = (end, first, to_send.len(), more);
            if encoded.as_ref().is_none_or(|(present, _)| *present != same) {
                *encoded = Some((same, recent_messages(name, page, to_send, more)));
            }
            let recent = encoded.as_ref().map_or(&[][..], |(_, frames)| frames);
            joining.send(name, recent, (!more).then_some(end))
        };
        if more {
            let _ = done.send(Ok(Joined::More { sent: Position { number: last, ..end }, bytes }));
            return None;
        }
        let recovered = match wanted {
            Wanted::Newest(recovered) => recovered,
            Wanted::After { .. } => Some(true),
        };
        joining.acknowledge(name, end, recovered);
        // After all that, because others than the worker may send to the members.
        self.local.members.join(Arc::clone(&joining.member));
        let _ = done.send(Ok(Joined::In { position: end, bytes, is_long }));
        None
    }
}
