//! The queue of a connection's packets and of backends' commands that wait to be handled, in order: bounded in number and
//! in bytes. A packet that finds nothing being handled is not queued, so an idle connection needs no memory for it.

use std::{collections::VecDeque, sync::Arc};

use jackfield_engine::{Inbound, Packet};
use tokio::time::Instant;

use super::{
    command::Ordered,
    connect_hook::Asked,
    flood_guard::{FloodGuard, Verdict},
};
use crate::limits::{FloodLimits, User};

/// One connection's queue.
pub(super) struct PacketQueue {
    /// Boxed, because most connections have none most of the time.
    queue: Option<Box<Waiting>>,
    guard: FloodGuard,
    /// An item is being handled; [`PacketQueue::pop`] comes after it.
    running: bool,
    /// No more items are accepted.
    shut: bool,
}

/// The items that wait, and the bytes of all of them.
#[derive(Default)]
struct Waiting {
    items: VecDeque<(Instant, Item)>,
    bytes: usize,
}

/// Something to handle.
pub(super) enum Item {
    /// The client's.
    Packet(Packet),
    /// A backend's. Boxed, because it is rare.
    Command(Box<Ordered>),
    /// A CONNECT of the client whose hook has answered.
    Asked(Box<Asked>),
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Packet(packet) => packet.bytes(),
            Self::Command(ordered) => ordered.bytes(),
            // At most one for each namespace.
            Self::Asked(_) => 0,
        }
    }
}

/// The outcome of pushing a command.
pub(super) enum Ordering {
    /// It is handled after the items before it.
    Queued,
    /// The caller must handle it now, and then the queue.
    Start(Instant, Box<Ordered>),
    /// Refused, because the queue is full, or shut.
    Refused(Box<Ordered>),
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
        self.put(now, Item::Packet(packet.to_packet()));
        Arrival::Queued
    }

    /// Takes a backend's command. It costs the client nothing, but the queue has one limit for both.
    pub(super) fn order(&mut self, ordered: Box<Ordered>, room: QueueLimits) -> Ordering {
        if self.shut || room.are_reached(self.len(), self.bytes(), ordered.bytes()) {
            return Ordering::Refused(ordered);
        }
        let now = Instant::now();
        if !std::mem::replace(&mut self.running, true) {
            return Ordering::Start(now, ordered);
        }
        self.put(now, Item::Command(ordered));
        Ordering::Queued
    }

    /// Takes a CONNECT whose hook has answered. Returns it if the caller must handle it now, and then the queue; drops it if
    /// the queue is shut.
    pub(super) fn resume(&mut self, asked: Box<Asked>) -> Option<(Instant, Item)> {
        if self.shut {
            return None;
        }
        let (now, item) = (Instant::now(), Item::Asked(asked));
        if !std::mem::replace(&mut self.running, true) {
            return Some((now, item));
        }
        self.put(now, item);
        None
    }

    fn put(&mut self, now: Instant, item: Item) {
        let queue = self.queue.get_or_insert_default();
        queue.bytes += item.bytes();
        queue.items.push_back((now, item));
    }

    /// Items that wait.
    fn len(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.items.len())
    }

    /// Bytes of the items that wait.
    fn bytes(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.bytes)
    }

    /// The next item and its time of arrival; with `None`, all have been handled.
    pub(super) fn pop(&mut self) -> Option<(Instant, Item)> {
        if let Some(queue) = &mut self.queue
            && let Some((at, item)) = queue.items.pop_front()
        {
            queue.bytes -= item.bytes();
            return Some((at, item));
        }
        self.running = false;
        // Connections are idle most of the time: free the memory that a burst needed.
        self.queue = None;
        None
    }

    /// Accepts no more items; those in the queue are still handled.
    pub(super) fn shut(&mut self) {
        self.shut = true;
    }

    pub(super) fn is_shut(&self) -> bool {
        self.shut
    }

    /// Whether all accepted items have been handled.
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

    use jackfield_cluster::wire::Command;

    use super::*;
    use crate::limits::Rate;

    const ANY: FloodLimits = FloodLimits { rate: Rate::new(0, 0), strikes: 0, payload: 0 };

    fn push(queue: &mut PacketQueue, bytes: usize, limits: QueueLimits) -> Arrival {
        let content = "x".repeat(bytes);
        let event = Inbound::Event { namespace: "", content: &*content, ack: None, parts: None };
        queue.push(&event, bytes, ANY, limits)
    }

    fn ordered(bytes: usize) -> Box<Ordered> {
        let command = Command { leave: vec!["x".repeat(bytes).into()], ..Command::default() };
        Box::new(Ordered::new("/", command).0)
    }

    proptest! {
        /// In any order of packets and commands, neither number nor bytes exceed the limit, except for one that is alone.
        #[test]
        fn the_queue_is_bounded(steps in prop::collection::vec(prop::option::of((0usize..400, any::<bool>())), 1..200)) {
            let limits = QueueLimits { packets: 10, bytes: 1_000 };
            let mut queue = PacketQueue::new(ANY);
            for step in steps {
                match step {
                    None => drop(queue.pop()),
                    Some((bytes, is_command)) => {
                        let (full, size) = match is_command {
                            true => {
                                let ordered = ordered(bytes);
                                let size = ordered.bytes();
                                (matches!(queue.order(ordered, limits), Ordering::Refused(_)), size)
                            }
                            false => (matches!(push(&mut queue, bytes, limits), Arrival::Limited { .. }), bytes),
                        };
                        let after = queue.len() + 1;
                        prop_assert!(!full || after > 10 || queue.bytes() + size > 1_000);
                    }
                }
                let items = queue.queue.iter().flat_map(|queue| &queue.items);
                let bytes: usize = items.map(|(_, item)| item.bytes()).sum();
                prop_assert_eq!(queue.bytes(), bytes);
                prop_assert!(queue.len() <= 10 && (bytes <= 1_000 || queue.len() == 1));
            }
        }
    }

    #[test]
    fn commands_wait_in_the_order_of_the_packets() {
        let limits = QueueLimits { packets: 0, bytes: 1_000 };
        let mut queue = PacketQueue::new(ANY);
        assert!(matches!(push(&mut queue, 1, limits), Arrival::Start(_)));
        assert!(matches!(queue.order(ordered(1), limits), Ordering::Queued));
        assert_eq!(push(&mut queue, 2, limits), Arrival::Queued);
        let order: Vec<_> =
            std::iter::from_fn(|| queue.pop()).map(|(_, item)| matches!(item, Item::Packet(_))).collect();
        assert_eq!(order, [false, true]);
        queue.shut();
        assert!(matches!(queue.order(ordered(1), limits), Ordering::Refused(_)));
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
        assert!(first.is_some() && third.is_none());
        assert!(matches!(second, Some((_, Item::Packet(Inbound::Malformed)))));
        assert!(queue.is_done());
    }
}
