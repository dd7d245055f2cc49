//! Packets that a connection sent and that have not been handled yet: bounded in number and in bytes, in order, without
//! a task while there are none.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use super::limiter::{FloodGuard, Verdict};
use crate::{
    engine::Inbound,
    limits::{FloodLimits, User},
};

/// One connection's queue.
pub(super) struct Inbox {
    queue: VecDeque<(Instant, Inbound)>,
    /// Of all packets in the queue.
    bytes: usize,
    guard: FloodGuard,
    /// A task is handling the queue.
    running: bool,
    /// No more packets are accepted.
    shut: bool,
}

/// The next step for a packet that has just arrived.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Nothing: the running task handles it, or it was dropped because the queue is shut.
    Queued,
    /// The caller must start a task that handles the queue.
    Start,
    /// Refused, because of the rate or a full queue; returned for the answer.
    Limited { packet: Inbound, retry_after_ms: u64 },
    /// Too fast for too long.
    Flooding,
}

/// Limits of the queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct InboxLimits {
    /// Packets; 0 for any number.
    pub(super) packets: usize,
    /// Bytes. An empty queue takes any packet.
    pub(super) bytes: usize,
}

impl InboxLimits {
    fn are_reached(self, packets: usize, bytes: usize, packet: usize) -> bool {
        (self.packets > 0 && packets >= self.packets)
            || (packets > 0 && packet > 0 && bytes.saturating_add(packet) > self.bytes)
    }
}

/// The client's time to wait when the queue is full.
const FULL_RETRY_MS: u64 = 1_000;

impl Inbox {
    pub(super) fn new(limits: FloodLimits) -> Self {
        Self {
            queue: VecDeque::new(),
            bytes: 0,
            guard: FloodGuard::new(limits, Instant::now()),
            running: false,
            shut: false,
        }
    }

    /// A token of this user was accepted: from now on the user's budget is used.
    pub(super) fn belongs_to(&mut self, user: &Arc<User>) {
        self.guard.belongs_to(user);
    }

    /// Counts a binary part. Returns whether the client floods with them.
    #[must_use]
    pub(super) fn part(&mut self, bytes: usize, limits: FloodLimits) -> bool {
        !self.shut && self.guard.part(bytes, limits)
    }

    /// Queues a packet whose text has `text` bytes.
    pub(super) fn push(&mut self, packet: Inbound, text: usize, limits: FloodLimits, room: InboxLimits) -> Arrival {
        if self.shut {
            return Arrival::Queued;
        }
        let now = Instant::now();
        match self.guard.check(text, limits, now) {
            Verdict::Pass if room.are_reached(self.queue.len(), self.bytes, packet.bytes()) => {
                return Arrival::Limited { packet, retry_after_ms: FULL_RETRY_MS };
            }
            Verdict::Pass => {
                // Nothing after it can be decoded.
                self.shut |= packet == Inbound::Malformed;
                self.bytes += packet.bytes();
                self.queue.push_back((now, packet));
            }
            Verdict::Limited { retry_after_ms } => return Arrival::Limited { packet, retry_after_ms },
            Verdict::Flooding => return Arrival::Flooding,
        }
        if std::mem::replace(&mut self.running, true) { Arrival::Queued } else { Arrival::Start }
    }

    /// The next packet and its time of arrival; `None` ends the handling.
    pub(super) fn pop(&mut self) -> Option<(Instant, Inbound)> {
        let next = self.queue.pop_front();
        self.bytes -= next.as_ref().map_or(0, |(_, packet)| packet.bytes());
        if next.is_none() {
            self.running = false;
            // Sockets are idle most of the time: free the memory that a burst needed.
            self.queue = VecDeque::new();
        }
        next
    }

    /// Accepts no more packets; those in the queue are still handled.
    pub(super) fn shut(&mut self) {
        self.shut = true;
    }

    pub(super) fn is_shut(&self) -> bool {
        self.shut
    }

    /// Whether all accepted packets have been handled.
    pub(super) fn is_done(&self) -> bool {
        !self.running
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::Text, limits::Rate};
    use proptest::prelude::*;

    const ANY: FloodLimits = FloodLimits { rate: Rate::new(0, 0), strikes: 0, payload: 0 };

    fn event(bytes: usize) -> Inbound {
        let content = Text::from("x".repeat(bytes));
        Inbound::Event { namespace: "".into(), content, ack: None, parts: None }
    }

    proptest! {
        /// In any order of packets, neither number nor bytes exceed the limit, except for a packet that is alone.
        #[test]
        fn what_waits_is_bounded(steps in prop::collection::vec(prop::option::of(0usize..400), 1..200)) {
            let room = InboxLimits { packets: 10, bytes: 1_000 };
            let mut inbox = Inbox::new(ANY);
            for step in steps {
                match step {
                    None => drop(inbox.pop()),
                    Some(bytes) => {
                        let full = matches!(inbox.push(event(bytes), bytes, ANY, room), Arrival::Limited { .. });
                        let after = inbox.queue.len() + 1;
                        prop_assert!(!full || after > 10 || inbox.bytes + bytes > 1_000);
                    }
                }
                let bytes: usize = inbox.queue.iter().map(|(_, packet)| packet.bytes()).sum();
                prop_assert_eq!(inbox.bytes, bytes);
                prop_assert!(inbox.queue.len() <= 10 && (bytes <= 1_000 || inbox.queue.len() == 1));
            }
        }
    }

    #[test]
    fn nothing_is_taken_after_a_malformed_packet() {
        let room = InboxLimits { packets: 0, bytes: 1_000 };
        let mut inbox = Inbox::new(ANY);
        assert_eq!(inbox.push(event(2_000), 2_000, ANY, room), Arrival::Start);
        assert_eq!(inbox.push(Inbound::Malformed, 1, ANY, room), Arrival::Queued);
        assert_eq!(inbox.push(event(1), 1, ANY, room), Arrival::Queued);
        assert_eq!((inbox.pop().is_some(), inbox.pop().unwrap().1, inbox.pop()), (true, Inbound::Malformed, None));
    }
}
