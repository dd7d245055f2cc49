//! The actions of nodes on the sockets that a message selects.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{NodeId, SocketId};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Sends them an encoded packet.
    Send(Bytes),
    /// Runs a command for each, in the order of its connection's packets.
    Command(Command),
    /// Counts them, and replies the number to the node that asks.
    Count(Ask),
    /// Emits an event and replies each socket's acknowledgement to the node that asks. Followed by `"name",data` in JSON,
    /// or the same with binary parts in the engine's encoding.
    Emit(Ask, Bytes),
}

/// A command for one socket. Its parts run in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Rooms that the socket joins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub join: Vec<Arc<str>>,
    /// Rooms that the socket leaves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leave: Vec<Arc<str>>,
    /// Disconnects the socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

/// The end of a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The reason sent to the client.
    pub reason: Arc<str>,
    /// The whole session ends, and not only the socket.
    pub session: bool,
}

impl Command {
    /// Bytes that it takes in a queue.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let rooms = self.join.iter().chain(&self.leave).map(|room| room.len() + size_of::<Arc<str>>());
        rooms.sum::<usize>() + self.end.as_ref().map_or(0, |end| end.reason.len())
    }
}

/// The question that a reply belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The node that asks.
    pub node: Arc<str>,
    /// Unique on that node.
    pub id: u64,
    /// How long that node waits for acknowledgements, in milliseconds.
    pub timeout_ms: u32,
}

/// The reply to an [`Ask`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The question's id.
    pub id: u64,
    /// The sockets found, or an answer.
    pub found: Found,
}

/// See [`Reply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Found {
    /// The node selected this many sockets of a namespace.
    Sockets {
        /// The node.
        node: Arc<str>,
        /// The namespace.
        namespace: Arc<str>,
        /// How many.
        count: usize,
    },
    /// A socket acknowledged the event. Followed by its arguments: a JSON array, or the same with binary parts in the
    /// engine's encoding.
    Acknowledged {
        /// The socket.
        socket: SocketId,
        /// Its user.
        user: Arc<str>,
    },
}

impl Ask {
    /// The node that asks.
    #[must_use]
    pub fn node(&self) -> NodeId {
        NodeId(Arc::clone(&self.node))
    }
}

/// The part of an act's encoding before its bytes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Head {
    Send,
    Command(Command),
    Count(Ask),
    Emit(Ask),
}

impl Act {
    pub(super) fn parts(&self) -> (Head, &[u8]) {
        match self {
            Self::Send(frame) => (Head::Send, frame),
            Self::Command(command) => (Head::Command(command.clone()), &[]),
            Self::Count(ask) => (Head::Count(ask.clone()), &[]),
            Self::Emit(ask, content) => (Head::Emit(ask.clone()), content),
        }
    }

    pub(super) fn from_parts(head: Head, bytes: Bytes) -> Self {
        match head {
            Head::Send => Self::Send(bytes),
            Head::Command(command) => Self::Command(command),
            Head::Count(ask) => Self::Count(ask),
            Head::Emit(ask) => Self::Emit(ask, bytes),
        }
    }
}
