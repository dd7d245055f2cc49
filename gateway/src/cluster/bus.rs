//! Port: messages between nodes.
//!
//! Guarantees: at most once; the messages of one publisher to one channel arrive in the order in which it awaited
//! their publication; a node hears its own; when [`Bus::subscribe`] has answered, everything published from then on is
//! heard, until [`BusEvent::MayHaveMissed`] says that something may have been lost in between. Every subscription
//! outlives a lost connection; what is published within a recorded span says so ([`super::carried`]). Deliberately does not store anything: what must not be lost goes through a log.

use std::sync::Arc;

use bytes::Bytes;
use jackfield_shared::trace::{Span, SpanKind, within};

use super::{Unavailable, bus_memory::MemoryBus, bus_redis::RedisBus, ids::NodeId, room_name::RoomName};

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Every node that has members of this namespace.
    Namespace(Arc<str>),
    /// Every node that has members of this room.
    Room(RoomName),
    /// One node.
    Node(NodeId),
    /// What concerns a user wherever the user is: comings and goings, for every node.
    Presence,
    /// Every node's part of the list of sockets.
    Roster,
}

/// What a node hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusEvent {
    /// A message on a channel that is subscribed to.
    Message(Channel, Bytes),
    /// The connection was lost and is back, or too much came at once.
    MayHaveMissed,
}

/// A node's end of the bus.
#[derive(Clone)]
pub enum Bus {
    /// Within one process.
    Memory(MemoryBus),
    /// Redis pub/sub.
    Redis(RedisBus),
}

impl Bus {
    /// Sends to everybody who is subscribed at this moment.
    ///
    /// # Errors
    /// [`Unavailable`] when it is not known whether it was sent.
    pub async fn publish(&self, channel: &Channel, payload: Bytes) -> Result<(), Unavailable> {
        let publishing = async {
            match self {
                Self::Memory(bus) => bus.publish(channel, &payload),
                Self::Redis(bus) => bus.publish(channel, payload).await,
            }
        };
        within(Span::child("publish", SpanKind::Producer), publishing).await
    }

    /// Hears these channels from now on; what was subscribed to stays so.
    ///
    /// # Errors
    /// [`Unavailable`] when it is not in effect yet; it will be as soon as the back end answers.
    pub async fn subscribe(&self, channels: &[Channel]) -> Result<(), Unavailable> {
        match self {
            Self::Memory(bus) => bus.subscribe(channels),
            Self::Redis(bus) => bus.subscribe(channels).await,
        }
    }

    /// Does not hear these channels any more. What is on its way may still be heard.
    pub fn unsubscribe(&self, channels: &[Channel]) {
        match self {
            Self::Memory(bus) => bus.unsubscribe(channels),
            Self::Redis(bus) => bus.unsubscribe(channels),
        }
    }

    /// How many rooms of these namespaces have members on any node.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn rooms(&self, namespaces: &[&str]) -> Result<usize, Unavailable> {
        match self {
            Self::Memory(bus) => bus.rooms(namespaces),
            Self::Redis(bus) => bus.rooms(namespaces).await,
        }
    }

    /// Whether a message that this node sent to itself came back lately.
    #[must_use]
    pub fn healthy(&self) -> bool {
        match self {
            Self::Memory(_) => true,
            Self::Redis(bus) => bus.healthy(),
        }
    }
}
