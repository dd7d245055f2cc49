//! The engine: turns connections into [`Outbox`]es and [`Inbound`] packets, and nothing more.
//!
//! Only this folder names the protocol library. The rest of the gateway sees:
//! - [`Frame`]: one packet, encoded once, cheap to clone, sent to any number of sockets;
//! - [`Outbox`]: a connection's bounded queue; a full queue is reported to the sender, never a silent loss;
//! - [`Inbound`]: a client's packets, in order.
//!
//! The library is socketioxide's own lower half (`engineioxide` and its Socket.IO parser) rather than its `SocketIo`
//! type: that one cannot close a transport without telling the client never to reconnect, exposes the id that controls
//! a polling session, starts a task for each event, and encodes again for every socket.

//!
//! A connection's memory is bounded here: [`wire`] counts the bytes in its queue, [`stragglers`] closes connections
//! whose bytes wait too long, [`stream`], [`post`] and [`decoder`] refuse excessive input on arrival.

mod decoder;
mod failure;
mod frame;
mod outbox;
mod oxide;
mod parts;
mod poll;
mod post;
mod request;
mod sent_frames;
mod stragglers;
mod stream;
mod upgrade;
mod wire;
mod writes;

pub(crate) use self::oxide::{Engine, EngineLimits};
pub use self::{
    frame::Frame,
    outbox::{Full, Outbox},
    parts::Parts,
    writes::record_write,
};

/// A packet from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound {
    /// Asks to join a namespace, with the `auth` payload as JSON.
    Connect {
        /// The namespace's name, beginning with `/`.
        namespace: Box<str>,
        /// JSON, if the client sent any.
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
        /// The acknowledgement's id, if the client asks for one.
        ack: Option<i64>,
        /// The binary parts that placeholders in the content refer to.
        parts: Option<Parts>,
    },
    /// An event that exceeds a limit. Only its name was kept.
    Refused {
        /// The namespace's name.
        namespace: Box<str>,
        /// The event's name, cut to 64 characters; empty if it was not found.
        event: Box<str>,
        /// The acknowledgement's id, if the client asks for one.
        ack: Option<i64>,
        /// The limit that it exceeds.
        excess: Excess,
    },
    /// Not a packet of the protocol: nothing after it can be decoded.
    Malformed,
}

/// The limit that an event exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// Bytes, of JSON and binary parts together.
    Bytes,
    /// Binary parts.
    Parts,
}

impl Inbound {
    /// Bytes that it takes while it waits to be handled.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Connect { namespace, auth } => namespace.len() + auth.as_ref().map_or(0, |auth| auth.as_str().len()),
            Self::Event { namespace, content, parts, .. } => {
                namespace.len() + content.as_str().len() + parts.as_ref().map_or(0, Parts::bytes)
            }
            Self::Disconnect { namespace } => namespace.len(),
            Self::Refused { namespace, event, .. } => namespace.len() + event.len(),
            Self::Malformed => 0,
        }
    }
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

    /// The name of the event with this content, cut to 64 characters; empty if it is not found at the beginning.
    #[must_use]
    pub fn event_name(&self) -> String {
        decoder::event_name(self.as_str())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}
