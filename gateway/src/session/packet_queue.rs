//! The queue of a connection's packets that wait to be handled, in order: bounded in number and in bytes. A packet that
//! finds none being handled is not queued, so an idle connection needs no memory for it.

use std::{collections::VecDeque, sync::Arc};

use jackfield_engine::{Inbound, Packet};
use tokio::time::Instant;

use super::flood_guard::{FloodGuard, Verdict};
use crate::limits::{FloodLimits, User};

/// One connection's queue.
pub(super) struct PacketQueue {
    /// Boxed, because most connections have none most of the time.
    queue: Option<Box<Waiting>>,
    guard: FloodGuard,
    /// A packet is being handled; [`PacketQueue::pop`] comes after it.
    running: bool,
    /// No more packets are accepted.
    shut: bool,
}

/// The packets that wait, and the bytes of all of them.
#[derive(Default)]
struct Waiting {
    packets: VecDeque<(Instant, Packet)>,
    bytes: usize,
}

/// The next step for a packet that has just arrived.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// None: it is handled after those before it, or was dropped because the queue is shut.
    Queued,
    /// The caller must handle it now, which has arrived at this time, and then the queue.
    Start(Instant),
    /// Refused, because of the rate limit or a full queue.
    Limited { retry_after_ms: u64 },
    /// The client kept sending above its rate limit.
    Flooding,
}

/// Limits of the queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueueLimits {
    /// Packets; 0 for no limit.
    pub(super) packets: usize,
    /// Bytes. An empty queue accepts any packet.
    pub(super) bytes: usize,
}

impl QueueLimits {
    fn are_reached(self, packets: usize, bytes: usize, packet: usize) -> bool {
        (self.packets > 0 && packets >= self.packets)
            || (packets > 0 && packet > 0 && bytes.saturating_add(packet) > self.bytes)
    }
}

/// The client's time to retry if the queue is full.
const FULL_RETRY_MS: u64 = 1_000;

impl PacketQueue {
    pub(super) fn new(limits: FloodLimits) -> Self {
        Self { queue: None, guard: FloodGuard::new(limits, Instant::now().into_std()), running: false, shut: false }
    }

    /// A token of this user was accepted: from now on the connection uses the user's budget.
    pub(super) fn belongs_to(&mut self, user: &Arc<User>) {
        self.guard.belongs_to(user);
    }

    /// Counts a binary part. Returns whether the client floods with them.
    pub(super) fn part(&mut self, bytes: usize, limits: FloodLimits) -> bool {
        !self.shut && self.guard.part(bytes, limits)
    }

    /// Takes a packet whose text has `text` bytes.
    pub(super) fn push(
        &mut self,
        packet: &Inbound<&str>,
        text: usize,
        limits: FloodLimits,
        room: QueueLimits,
    ) -> Arrival {
        if self.shut {
            return Arrival::Queued;
        }
        let now = Instant::now();
        match self.guard.check(text, limits, now.into_std()) {
            Verdict::Pass if room.are_reached(self.len(), self.bytes(), packet.bytes()) => {
                return Arrival::Limited { retry_after_ms: FULL_RETRY_MS };
            }
            Verdict::Pass => {
                // Nothing after a malformed packet can be decoded.
                self.shut |= *packet == Inbound::Malformed;
            }
            Verdict::Limited { retry_after_ms } => return Arrival::Limited { retry_after_ms },
            Verdict::Flooding => return Arrival::Flooding,
        }
        if !std::mem::replace(&mut self.running, true) {
            return Arrival::Start(now);
        }
        let queue = self.queue.get_or_insert_default();
        queue.bytes += packet.bytes();
        queue.packets.push_back((now, packet.to_packet()));
        Arrival::Queued
    }

    /// Packets that wait.
    fn len(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.packets.len())
    }

    /// Bytes of the packets that wait.
    fn bytes(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.bytes)
    }

    /// The next packet and its time of arrival; with `None`, all have been handled.
    pub(super) fn pop(&mut self) -> Option<(Instant, Packet)> {
        if let Some(queue) = &mut self.queue
            && let Some((at, packet)) = queue.packets.pop_front()
        {
            queue.bytes -= packet.bytes();
            return Some((at, packet));
        }
        self.running = false;
        // Connections are idle most of the time: free the memory that a burst needed.
        self.queue = None;
        None
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
        self.queue = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::Rate;

    const ANY: FloodLimits = FloodLimits { rate: Rate::new(0, 0), strikes: 0, payload: 0 };

    fn push(queue: &mut PacketQueue, bytes: usize, limits: QueueLimits) -> Arrival {
        let content = "x".repeat(bytes);
        let event = Inbound::Event { namespace: "", content: &*content, ack: None, parts: None };
        queue.push(&event, bytes, ANY, limits)
    }

    proptest! {
        /// In any order of packets, neither number nor bytes exceed the limit, except for a packet that is alone.
        #[test]
        fn the_queue_is_bounded(steps in prop::collection::vec(prop::option::of(0usize..400), 1..200)) {
            let limits = QueueLimits { packets: 10, bytes: 1_000 };
            let mut queue = PacketQueue::new(ANY);
            for step in steps {
                match step {
                    None => drop(queue.pop()),
                    Some(bytes) => {
                        let full = matches!(push(&mut queue, bytes, limits), Arrival::Limited { .. });
                        let after = queue.len() + 1;
                        prop_assert!(!full || after > 10 || queue.bytes() + bytes > 1_000);
                    }
                }
                let packets = queue.queue.iter().flat_map(|queue| &queue.packets);
                let bytes: usize = packets.map(|(_, packet)| packet.bytes()).sum();
                prop_assert_eq!(queue.bytes(), bytes);
                prop_assert!(queue.len() <= 10 && (bytes <= 1_000 || queue.len() == 1));
            }
        }
    }

    #[test]
    fn nothing_is_accepted_after_a_malformed_packet() {
        let limits = QueueLimits { packets: 0, bytes: 1_000 };
        let mut queue = PacketQueue::new(ANY);
        assert!(matches!(push(&mut queue, 2_000, limits), Arrival::Start(_)));
        assert_eq!(push(&mut queue, 2_000, limits), Arrival::Queued);
        assert_eq!(queue.push(&Inbound::Malformed, 1, ANY, limits), Arrival::Queued);
        assert_eq!(push(&mut queue, 1, limits), Arrival::Queued);
        let (first, second, third) = (queue.pop(), queue.pop(), queue.pop());
        assert_eq!((first.is_some(), second.map(|(_, packet)| packet), third), (true, Some(Inbound::Malformed), None));
        assert!(queue.is_done());
    }
}
