//! [`crate::bus`] for several nodes of one process.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{
    Unavailable,
    bus::{BusEvent, BusEvents, Channel, events, events::EventQueue},
    once::OnceKeys,
    partition::PartitionSet,
    wire::envelope,
};

/// All nodes of the process.
#[derive(Clone, Default)]
pub struct MemoryNetwork {
    endpoints: Arc<Mutex<Vec<Endpoint>>>,
    once: Arc<Mutex<OnceKeys>>,
}

struct Endpoint {
    subscribed: HashSet<Channel>,
    queue: EventQueue,
    /// The last event in the queue is [`BusEvent::Gap`].
    missed: bool,
}

/// One node's endpoint.
#[derive(Clone)]
pub struct MemoryBus {
    network: MemoryNetwork,
    index: usize,
}

impl MemoryNetwork {
    /// Adds a node.
    pub fn join(&self) -> (MemoryBus, BusEvents) {
        let (queue, events) = events::queue();
        let mut endpoints = self.endpoints.lock();
        endpoints.push(Endpoint { subscribed: HashSet::new(), queue, missed: false });
        (MemoryBus { network: self.clone(), index: endpoints.len() - 1 }, events)
    }

    /// Sends to every subscribed node. One lock makes all nodes receive the same order.
    pub fn publish(&self, channel: &Channel, payload: &Bytes) {
        let payload = envelope::enclose(payload.clone());
        for endpoint in self.endpoints.lock().iter_mut().filter(|endpoint| endpoint.subscribed.contains(channel)) {
            endpoint.push(BusEvent::Message(channel.clone(), payload.clone()));
        }
    }
}

impl Endpoint {
    /// Queues the event, or drops it if the queue is full. The first dropped event is replaced by [`BusEvent::Gap`],
    /// the last event in the queue, so the node learns of this and all following drops.
    fn push(&mut self, event: BusEvent) {
        if self.queue.push(event) {
            self.missed = false;
        } else if !self.missed {
            // Fails only if the node has ended: the last slot is free.
            self.missed = self.queue.push(BusEvent::Gap(PartitionSet::ALL));
        }
    }
}

impl MemoryBus {
    pub(crate) fn publish(&self, channel: &Channel, payload: &Bytes) -> Result<(), Unavailable> {
        self.network.publish(channel, payload);
        Ok(())
    }

    pub(crate) fn publish_once(&self, channel: &Channel, payload: &Bytes, key: &str) -> Result<bool, Unavailable> {
        let publish = || {
            self.network.publish(channel, payload);
            1
        };
        // Under the lock, so that a repetition returns after the first publication.
        let (_, is_first) = self.network.once.lock().once(&format!("{channel:?} {key}"), publish);
        Ok(is_first)
    }

    pub(crate) fn subscribe_reachable(&self, channels: &[Channel]) -> Result<(), Unavailable> {
        self.subscribe(channels)
    }

    pub(crate) fn unsubscribe(&self, channels: &[Channel]) {
        self.network.endpoints.lock()[self.index].subscribed.retain(|channel| !channels.contains(channel));
    }

    pub(crate) fn rooms(&self, namespaces: &[&str]) -> Result<usize, Unavailable> {
        let endpoints = self.network.endpoints.lock();
        let rooms = endpoints.iter().flat_map(|endpoint| &endpoint.subscribed).filter_map(|channel| match channel {
            Channel::Room(room) if namespaces.contains(&&*room.namespace) => Some(room),
            _ => None,
        });
        Ok(rooms.collect::<HashSet<_>>().len())
    }

    pub(crate) fn subscribe(&self, channels: &[Channel]) -> Result<(), Unavailable> {
        self.network.endpoints.lock()[self.index].subscribed.extend(channels.iter().cloned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::bus::events::BACKLOG;

    #[test]
    fn a_node_gets_the_gap_without_another_message() {
        let network = MemoryNetwork::default();
        let (bus, mut events) = network.join();
        bus.subscribe(&[Channel::Presence]).unwrap();
        for round in 0..2 {
            for _ in 0..BACKLOG + 10 {
                network.publish(&Channel::Presence, &Bytes::new());
            }
            for _ in 0..BACKLOG {
                assert!(matches!(events.recv().now_or_never(), Some(Some(BusEvent::Message(..)))));
            }
            assert_eq!(events.recv().now_or_never(), Some(Some(BusEvent::Gap(PartitionSet::ALL))), "round {round}");
            assert!(events.recv().now_or_never().is_none());
        }
    }
}
