//! The destinations of messages.

use std::sync::Arc;

use crate::{ids::NodeId, partition::Partition, room_name::RoomName};

/// The destination of a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Every node that serves this namespace.
    Namespace(Arc<str>),
    /// Every node that has members of this room.
    Room(RoomName),
    /// One node.
    Node(NodeId),
    /// Every node: users that come online or go offline, and requests to end a user's subscriptions to feeds.
    Presence,
    /// Every node: each node's part of the list of sockets, and requests for these parts.
    Roster,
    /// Every node: revoked tokens.
    Revocations,
}

impl Channel {
    /// The partition on whose server messages to this channel are published, except for what scripts publish on the
    /// channels of nodes and of presence: that is in the partition of the user whom it is about.
    #[must_use]
    pub fn partition(&self) -> Partition {
        match self {
            Self::Namespace(name) => Partition::of(name),
            Self::Room(room) => Partition::of_room(room),
            Self::Node(node) => Partition::of(node.as_str()),
            Self::Presence | Self::Roster | Self::Revocations => Partition::FIRST,
        }
    }
}
