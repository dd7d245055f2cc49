//! The events that wait for a node, in a queue that is bounded in number and in bytes.
//!
//! Guarantees that adding never waits, and the order of what was added.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::mpsc;

use super::BusEvent;

/// Events that may wait.
pub(super) const BACKLOG: usize = 16_384;
/// Bytes of messages that may wait.
const BACKLOG_BYTES: usize = 128 * 1024 * 1024;

/// The way into the queue.
pub(super) struct EventQueue {
    queue: mpsc::Sender<BusEvent>,
    bytes: Arc<AtomicUsize>,
}

/// The events of a node.
pub struct BusEvents {
    queue: mpsc::Receiver<BusEvent>,
    bytes: Arc<AtomicUsize>,
}

/// A queue. Its last slot is only for [`BusEvent::Gap`].
pub(super) fn queue() -> (EventQueue, BusEvents) {
    let (sender, queue) = mpsc::channel(BACKLOG + 1);
    let bytes = Arc::<AtomicUsize>::default();
    (EventQueue { queue: sender, bytes: Arc::clone(&bytes) }, BusEvents { queue, bytes })
}

impl EventQueue {
    /// Adds an event; false if there is no room for it, or the node has ended.
    pub(super) fn push(&self, event: BusEvent) -> bool {
        let length = bytes_of(&event);
        let is_full = || self.queue.capacity() <= 1 || self.bytes.load(Ordering::Relaxed) + length > BACKLOG_BYTES;
        if matches!(event, BusEvent::Message(..)) && is_full() {
            return false;
        }
        // Counted first, because the receiver may be faster.
        self.bytes.fetch_add(length, Ordering::Relaxed);
        let is_queued = self.queue.try_send(event).is_ok();
        if !is_queued {
            self.bytes.fetch_sub(length, Ordering::Relaxed);
        }
        is_queued
    }

    /// How many events wait.
    pub(super) fn len(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }
}

impl BusEvents {
    /// The next event; none once the bus has ended. A call that is cancelled loses nothing.
    pub async fn recv(&mut self) -> Option<BusEvent> {
        let event = self.queue.recv().await?;
        self.bytes.fetch_sub(bytes_of(&event), Ordering::Relaxed);
        Some(event)
    }
}

fn bytes_of(event: &BusEvent) -> usize {
    match event {
        BusEvent::Message(_, payload) => payload.len(),
        BusEvent::Gap(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::FutureExt as _;

    use super::*;
    use crate::{bus::Channel, partition::PartitionSet};

    #[test]
    fn messages_leave_room_for_a_gap() {
        for (length, expected) in [(0, BACKLOG), (1024 * 1024, BACKLOG_BYTES / 1024 / 1024), (BACKLOG_BYTES + 1, 0)] {
            let (queue, mut events) = queue();
            let message = BusEvent::Message(Channel::Presence, Bytes::from(vec![0; length]));
            let queued = (0..BACKLOG + 10).filter(|_| queue.push(message.clone())).count();
            assert_eq!((queued, queue.len()), (expected, expected), "{length}");
            assert!(queue.push(BusEvent::Gap(PartitionSet::ALL)));
            let received: Vec<_> = std::iter::from_fn(|| events.recv().now_or_never().flatten()).collect();
            assert_eq!(received.len(), expected + 1);
            assert_eq!(received.last(), Some(&BusEvent::Gap(PartitionSet::ALL)));
            assert_eq!((queue.len(), queue.bytes.load(Ordering::Relaxed)), (0, 0));
        }
    }
}
