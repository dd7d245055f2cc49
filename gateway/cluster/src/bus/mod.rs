//! Port: messages between nodes.
//!
//! Guarantees: at most once; the messages of one publisher to one channel arrive in the order in which it awaited their
//! publication; a node also receives its own messages. Once [`Bus::subscribe`] has succeeded, the node receives
//! everything published from then on, until [`BusEvent::Gap`] announces that messages may have been lost. Subscriptions
//! outlive a lost connection. A message published within a recorded span carries that span ([`crate::wire::envelope`]).
//! Deliberately stores nothing: messages that must not be lost go through a log.

mod channel;
mod emitters;
mod events;
pub(crate) mod memory;
pub(crate) mod redis;

use bytes::Bytes;
use jackfield_shared::trace::{Span, SpanKind, within};

pub use self::{
    channel::Channel,
    emitters::{EmitterMessage, EmitterMessages},
    events::BusEvents,
};
use crate::forward::forward;
use crate::{Unavailable, bus::memory::MemoryBus, bus::redis::RedisBus, partition::PartitionSet};

/// An event that a node receives from the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusEvent {
    /// A message on a subscribed channel.
    Message(Channel, Bytes),
    /// Messages on channels of these partitions may have been lost: a connection was lost and is back, or the node's
    /// queue was full.
    Gap(PartitionSet),
}

/// Whether a node receives what is published on one server.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerHealth {
    /// The server's address, or the name of the master; without a login.
    pub server: String,
    /// A message that this node sent to itself there came back recently.
    pub is_heard: bool,
}

/// A node's endpoint of the bus.
#[derive(Clone)]
pub enum Bus {
    /// Within one process.
    Memory(MemoryBus),
    /// Redis pub/sub.
    Redis(RedisBus),
}

impl Bus {
    /// Sends to every node that is subscribed at this moment.
    ///
    /// # Errors
    /// [`Unavailable`]: the message may or may not have been sent.
    pub async fn publish(&self, channel: &Channel, payload: Bytes) -> Result<(), Unavailable> {
        let publishing = async {
            match self {
                Self::Memory(bus) => bus.publish(channel, &payload),
                Self::Redis(bus) => bus.publish(channel, payload).await,
            }
        };
        within(Span::child("publish", SpanKind::Producer), publishing).await
    }

    /// Like [`Bus::publish`], at most once for each channel and `key` in [`crate::once::REMEMBERED`], whichever nodes call.
    /// Returns false if it was sent before.
    ///
    /// # Errors
    /// [`Unavailable`]: the message may or may not have been sent.
    pub async fn publish_once(&self, channel: &Channel, payload: Bytes, key: &str) -> Result<bool, Unavailable> {
        let publishing = async {
            match self {
                Self::Memory(bus) => bus.publish_once(channel, &payload, key),
                Self::Redis(bus) => bus.publish_once(channel, payload, key).await,
            }
        };
        within(Span::child("publish", SpanKind::Producer), publishing).await
    }

    /// Subscribes to these channels; earlier subscriptions stay.
    ///
    /// # Errors
    /// [`Unavailable`]: the subscription is not in effect yet. It takes effect once the back end answers.
    pub async fn subscribe(&self, channels: &[Channel]) -> Result<(), Unavailable> {
        forward!(self.subscribe(channels))
    }

    /// Like [`Bus::subscribe`], but where there are several servers, those that are away do not matter: [`BusEvent::Gap`]
    /// follows once their channels are subscribed.
    ///
    /// # Errors
    /// [`Unavailable`]: no server answers.
    pub async fn subscribe_reachable(&self, channels: &[Channel]) -> Result<(), Unavailable> {
        forward!(self.subscribe_reachable(channels))
    }

    /// Unsubscribes, best effort: messages in transit may still arrive.
    pub fn unsubscribe(&self, channels: &[Channel]) {
        match self {
            Self::Memory(bus) => bus.unsubscribe(channels),
            Self::Redis(bus) => bus.unsubscribe(channels),
        }
    }

    /// Listens to what emitters publish on channels that begin with this prefix, from now on and after every reconnect.
    /// `None` without Redis.
    #[must_use]
    pub fn emitters(&self, prefix: &str) -> Option<EmitterMessages> {
        match self {
            Self::Memory(_) => None,
            Self::Redis(bus) => Some(bus.emitters(prefix)),
        }
    }

    /// How many rooms of these namespaces have at least one node subscribed.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn rooms(&self, namespaces: &[&str]) -> Result<usize, Unavailable> {
        forward!(self.rooms(namespaces))
    }

    /// Whether messages that this node sent to itself came back recently, from all servers.
    #[must_use]
    pub fn healthy(&self) -> bool {
        match self {
            Self::Memory(_) => true,
            Self::Redis(bus) => bus.healthy(),
        }
    }

    /// The health of each server; none in memory.
    #[must_use]
    pub fn health(&self) -> Vec<ServerHealth> {
        match self {
            Self::Memory(_) => Vec::new(),
            Self::Redis(bus) => bus.health(),
        }
    }
}
