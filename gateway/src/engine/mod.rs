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

//!
//! A connection's memory is bounded here: [`wire`] counts what waits for it in bytes, [`stragglers`] closes those for whom
//! it waits too long, [`stream`], [`post`] and [`decoder`] refuse what is too much when it comes.

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
        /// What placeholders in the content stand for.
        parts: Option<Parts>,
    },
    /// An event that is more than the client may send. Nothing of it was kept.
    Refused {
        /// The namespace's name.
        namespace: Box<str>,
        /// The event's name, cut to 64 characters; empty where it was not found.
        event: Box<str>,
        /// Where an acknowledgement is asked for.
        ack: Option<i64>,
        /// What there is too much of.
        excess: Excess,
    },
    /// Not a packet of the protocol: what comes after it cannot be understood.
    Malformed,
}

/// What an event has too much of.
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

    /// The name of the event that this is the content of, cut to 64 characters; empty where it is not found at once.
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
