//! The engine: turns connections into [`Outbox`]es and [`Inbound`] packets, and nothing more.
//!
//! Everything that names the protocol library stands in this folder. The rest of the gateway sees:
//! - [`Frame`]: one packet, encoded once, cheap to clone, sent to any number of sockets;
//! - [`Outbox`]: a connection's bounded queue; a full one is an answer, never a silent loss;
//! - [`Inbound`]: what a client sent, in order.
//!
//! The library is socketioxide's own lower half (`engineioxide` and its Socket.IO parser) rather than its `SocketIo`
//! type: that one cannot close a transport without telling the client never to come back, shows the id a polling
//! session is spoken to by, starts a task for each event, and encodes for every socket anew.

mod frame;
mod outbox;
mod oxide;
mod packet;
mod request;
mod upgrade;
mod writes;

use bytes::Bytes;

pub(crate) use self::oxide::{Engine, EngineLimits};
pub use self::{
    frame::Frame,
    outbox::{Full, Outbox},
    writes::record_write,
};

/// What a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound {
    /// Wants into a namespace, with the `auth` payload as JSON.
    Connect {
        /// The namespace's name, beginning with `/`.
        namespace: Box<str>,
        /// JSON, where there was any.
        auth: Option<Text>,
    },
    /// Leaves a namespace.
    Disconnect {
        /// The namespace's name.
        namespace: Box<str>,
    },
    /// An event: a JSON array of its name and arguments.
    Event {
        /// The namespace's name.
        namespace: Box<str>,
        /// The JSON array.
        content: Text,
        /// Where an acknowledgement is asked for.
        ack: Option<i64>,
    },
    /// Not a packet of the protocol.
    Malformed,
}

/// Text that shares its memory with the buffer it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(engineioxide_core::Str);

impl Text {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl Frame {
    /// The frame as another node encoded it; nothing where it is not text.
    #[must_use]
    pub fn from_bus(bytes: Bytes) -> Option<Self> {
        String::from_utf8(bytes.into()).ok().map(Self::from_text)
    }
}
