//! The sending side of a member: a few messages outstanding, each resent with its `clientId` until it is acknowledged.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use tokio::time::Instant;

use super::Membership;
use crate::{
    record::{Acked, Key, Sent, content},
    shared::Shared,
    wire::{Answer, SendMessage},
};

/// Pause after an error answer without `retryAfterMs`.
const RETRY: Duration = Duration::from_millis(200);
/// Resend after this time without an answer: longer than any answer may take, even from a frozen node.
const UNANSWERED: Duration = Duration::from_secs(15);

/// Load of a sender.
#[derive(Debug, Clone, Copy, Default)]
pub struct Load {
    /// Most messages outstanding.
    pub window: usize,
    /// Interval between two new messages; none: as fast as they are acknowledged.
    pub every: Option<Duration>,
    /// Length of a content, in characters.
    pub length: usize,
}

#[derive(Clone, Copy)]
enum State {
    /// To be sent at that time, or later.
    Waiting(Instant),
    /// Sent at that time.
    Sent(Instant),
}

struct Outgoing {
    sequence: u32,
    /// Index into the member's memberships.
    membership: usize,
    state: State,
}

/// Sends to some of its member's rooms, in turn.
pub struct Sender {
    number: u32,
    memberships: Vec<usize>,
    load: Load,
    outgoing: Vec<Outgoing>,
    turn: usize,
    due: Instant,
}

impl Sender {
    /// A sender with that number, for these memberships of its member.
    pub fn new(number: u32, memberships: Vec<usize>, load: Load) -> Self {
        Self { number, memberships, load, outgoing: Vec::new(), turn: 0, due: Instant::now() }
    }

    /// The tick interval that it needs.
    pub fn pace(&self) -> Duration {
        let (shortest, longest) = (Duration::from_millis(2), Duration::from_millis(50));
        self.load.every.map_or(longest, |every| every.clamp(shortest, longest))
    }

    /// Sends and resends all messages that are due. `emit` returns whether the frame was queued.
    pub(super) fn send_due(
        &mut self,
        shared: &Shared,
        connection: u32,
        memberships: &[Membership],
        mut emit: impl FnMut(&SendMessage<'_>, u32) -> bool,
    ) {
        let now = Instant::now();
        for index in 0..self.outgoing.len() {
            let Outgoing { sequence, membership, state } = self.outgoing[index];
            let again = match state {
                State::Waiting(at) => at <= now,
                State::Sent(since) => now - since > UNANSWERED,
            };
            let membership = &memberships[membership];
            if !again || !membership.is_joined() {
                continue;
            }
            let key = Key { sender: self.number, sequence };
            let sent = &mut shared.sent[self.number as usize].lock()[sequence as usize];
            if self.write(key, sent.at_us, &membership.name, &mut emit) {
                let mut figures = shared.figures.lock();
                figures.unanswered += u64::from(matches!(state, State::Sent(_)));
                figures.retries += 1;
                sent.tries += 1;
                self.outgoing[index].state = State::Sent(now);
            }
        }
        while shared.sending.load(Relaxed) && self.outgoing.len() < self.load.window && self.is_due(now) {
            let Some(membership) = self.next_membership(memberships) else { return };
            let Membership { room, name, .. } = &memberships[membership];
            let at_us = shared.now_us();
            let mut sent = shared.sent[self.number as usize].lock();
            let key = Key { sender: self.number, sequence: u32::try_from(sent.len()).unwrap_or(u32::MAX) };
            if !self.write(key, at_us, name, &mut emit) {
                return;
            }
            let room = u32::try_from(*room).unwrap_or(u32::MAX);
            sent.push(Sent { room, at_us, connection, tries: 1 });
            shared.figures.lock().sent += 1;
            self.outgoing.push(Outgoing { sequence: key.sequence, membership, state: State::Sent(now) });
        }
    }

    /// Handles an answer. Returns the message's membership if the answer is `not_in_room`.
    pub fn answered(&mut self, shared: &Shared, sequence: u32, answer: &Answer) -> Option<usize> {
        // None if an earlier ack answered this message, which was resent meanwhile.
        let index = self.outgoing.iter().position(|one| one.sequence == sequence);
        if answer.status == "ok" {
            self.acknowledged(shared, sequence, index, answer);
            return None;
        }
        let code = answer.code.as_deref().unwrap_or("?");
        shared.error("send-message", code);
        shared.figures.lock().unavailable += u64::from(code == "unavailable");
        let pause = answer.retry_after_ms.map_or(RETRY, Duration::from_millis);
        let outgoing = &mut self.outgoing[index?];
        outgoing.state = State::Waiting(Instant::now() + pause);
        (code == "not_in_room").then_some(outgoing.membership)
    }

    /// The connection is lost: everything outstanding is due again.
    pub fn disconnected(&mut self) {
        let now = Instant::now();
        self.outgoing.iter_mut().for_each(|outgoing| outgoing.state = State::Waiting(now));
    }

    fn acknowledged(&mut self, shared: &Shared, sequence: u32, index: Option<usize>, answer: &Answer) {
        let Some(id) = &answer.message_id else {
            return shared.breach(|| "a message was acknowledged without `messageId`".into());
        };
        let sent = shared.sent[self.number as usize].lock()[sequence as usize];
        let key = Key { sender: self.number, sequence };
        let mut room = shared.rooms[sent.room as usize].lock();
        let message = room.intern(id, &content(key, sent.at_us, self.load.length));
        room.acked.push(Acked { key, message });
        if let Some(index) = index {
            self.outgoing.remove(index);
            shared.figures.lock().acked += 1;
        }
    }

    fn write(&self, key: Key, at_us: u64, room: &str, emit: &mut impl FnMut(&SendMessage<'_>, u32) -> bool) -> bool {
        let content = content(key, at_us, self.load.length);
        let client_id = format!("{}-{}", key.sender, key.sequence);
        emit(&SendMessage { room, content: &content, client_id: &client_id }, key.sequence)
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let Some(every) = self.load.every else { return true };
        if self.due > now {
            return false;
        }
        // A late sender stays at most 4 intervals behind its schedule: it does not make up for all of it in one burst.
        self.due = (self.due + every).max(now.checked_sub(every * 4).unwrap_or(now));
        true
    }

    fn next_membership(&mut self, memberships: &[Membership]) -> Option<usize> {
        let count = self.memberships.len();
        let mut turns = (0..count).map(|step| (self.turn + step) % count);
        let found = turns.find(|turn| memberships[self.memberships[*turn]].is_joined())?;
        self.turn = found + 1;
        Some(self.memberships[found])
    }
}
