//! [`super::bus`] for several nodes of one process.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc::{self, error::TrySendError};

use super::{
    Unavailable,
    bus::{BusEvent, Channel},
    carried,
};

/// Capacity of one node's event queue. Beyond it, events are dropped and the node receives [`BusEvent::MayHaveMissed`].
const BACKLOG: usize = 16_384;

/// All nodes of the process.
#[derive(Clone, Default)]
pub struct MemoryNetwork {
    ends: Arc<Mutex<Vec<End>>>,
}

struct End {
    subscribed: HashSet<Channel>,
    heard: mpsc::Sender<BusEvent>,
    missed: bool,
}

/// One node's end.
#[derive(Clone)]
pub struct MemoryBus {
    network: MemoryNetwork,
    index: usize,
}

impl MemoryNetwork {
    /// One more node.
    pub fn join(&self) -> (MemoryBus, mpsc::Receiver<BusEvent>) {
        let (heard, events) = mpsc::channel(BACKLOG);
        let mut ends = self.ends.lock();
        ends.push(End { subscribed: HashSet::new(), heard, missed: false });
        (MemoryBus { network: self.clone(), index: ends.len() - 1 }, events)
    }

    /// Sends to every subscribed node. Holds one lock, so that all nodes receive the same order.
    pub fn publish(&self, channel: &Channel, payload: &Bytes) {
        let payload = carried::enclose(payload.clone());
        for end in self.ends.lock().iter_mut().filter(|end| end.subscribed.contains(channel)) {
            end.hear(BusEvent::Message(channel.clone(), payload.clone()));
        }
    }
}

impl End {
    fn hear(&mut self, event: BusEvent) {
        if self.missed && self.heard.try_send(BusEvent::MayHaveMissed).is_ok() {
            self.missed = false;
        }
        self.missed |= matches!(self.heard.try_send(event), Err(TrySendError::Full(_)));
    }
}

impl MemoryBus {
    pub(super) fn publish(&self, channel: &Channel, payload: &Bytes) -> Result<(), Unavailable> {
        self.network.publish(channel, payload);
        Ok(())
    }

    pub(super) fn unsubscribe(&self, channels: &[Channel]) {
        self.network.ends.lock()[self.index].subscribed.retain(|channel| !channels.contains(channel));
    }

    pub(super) fn rooms(&self, namespaces: &[&str]) -> Result<usize, Unavailable> {
        let ends = self.network.ends.lock();
        let rooms = ends.iter().flat_map(|end| &end.subscribed).filter_map(|channel| match channel {
            Channel::Room(room) if namespaces.contains(&&*room.namespace) => Some(room),
            _ => None,
        });
        Ok(rooms.collect::<HashSet<_>>().len())
    }

    pub(super) fn subscribe(&self, channels: &[Channel]) -> Result<(), Unavailable> {
        self.network.ends.lock()[self.index].subscribed.extend(channels.iter().cloned());
        Ok(())
    }
}
