//! The destinations of messages.

use std::sync::Arc;

use crate::{ids::NodeId, room_name::RoomName};

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
