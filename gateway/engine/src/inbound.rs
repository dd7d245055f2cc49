//! A packet from a client, decoded.

use std::ops::Deref;

use crate::Parts;

/// Bytes of an event's content that are searched for its name.
const NAME_WITHIN: usize = 256;
/// Characters of an event's name that are kept.
const LONGEST_NAME: usize = 64;

/// See the module. `S` is the type of its text: borrowed from the transport's buffer on arrival, owned in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound<S> {
    /// Asks to join a namespace, with the `auth` payload as JSON.
    Connect {
        /// The namespace's name, beginning with `/`.
        namespace: S,
        /// JSON, if the client sent any.
        auth: Option<S>,
    },
    /// Leaves a namespace.
    Disconnect {
        /// The namespace's name.
        namespace: S,
    },
    /// An event: a JSON array of its name and arguments.
    Event {
        /// The namespace's name.
        namespace: S,
        /// The JSON array.
        content: S,
        /// The acknowledgement's id, if the client asks for one.
        ack: Option<i64>,
        /// The binary parts that placeholders in the content refer to.
        parts: Option<Parts>,
    },
    /// The acknowledgement of an event that the gateway sent with an id. Any client may send any: the session decides which
    /// it waits for.
    Ack {
        /// The namespace's name.
        namespace: S,
        /// The event's id.
        id: i64,
        /// A JSON array of its arguments.
        content: S,
        /// The binary parts that placeholders in the content refer to.
        parts: Option<Parts>,
    },
    /// An event that exceeds a limit. Only its name was kept.
    Refused {
        /// The namespace's name.
        namespace: S,
        /// The event's name, cut to 64 characters; empty if it was not found. Owned, because JSON may escape it.
        event: Box<str>,
        /// The acknowledgement's id, if the client asks for one.
        ack: Option<i64>,
        /// The limit that it exceeds.
        excess: Excess,
    },
    /// Not a packet of the protocol: nothing after it can be decoded.
    Malformed,
}

/// A packet that waits to be handled.
pub type Packet = Inbound<Box<str>>;

/// The limit that an event exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// Bytes, of JSON and binary parts together.
    Bytes,
    /// Binary parts.
    Parts,
}

impl<S: Deref<Target = str>> Inbound<S> {
    /// Bytes that it takes in a queue.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let len = |text: &S| text.len();
        match self {
            Self::Connect { namespace, auth } => len(namespace) + auth.as_ref().map_or(0, len),
            Self::Event { namespace, content, parts, .. } | Self::Ack { namespace, content, parts, .. } => {
                len(namespace) + len(content) + parts.as_ref().map_or(0, Parts::bytes)
            }
            Self::Disconnect { namespace } => len(namespace),
            Self::Refused { namespace, event, .. } => len(namespace) + event.len(),
            Self::Malformed => 0,
        }
    }

    /// The same packet, borrowed.
    #[must_use]
    pub fn borrowed(&self) -> Inbound<&str> {
        self.map(|text| &**text)
    }

    /// The same packet with a copy of its text.
    #[must_use]
    pub fn to_packet(&self) -> Packet {
        self.map(|text| (**text).into())
    }

    fn map<'a, T>(&'a self, text: impl Fn(&'a S) -> T) -> Inbound<T> {
        match self {
            Self::Connect { namespace, auth } => {
                Inbound::Connect { namespace: text(namespace), auth: auth.as_ref().map(&text) }
            }
            Self::Disconnect { namespace } => Inbound::Disconnect { namespace: text(namespace) },
            Self::Event { namespace, content, ack, parts } => {
                Inbound::Event { namespace: text(namespace), content: text(content), ack: *ack, parts: parts.clone() }
            }
            Self::Ack { namespace, id, content, parts } => {
                Inbound::Ack { namespace: text(namespace), id: *id, content: text(content), parts: parts.clone() }
            }
            Self::Refused { namespace, event, ack, excess } => {
                Inbound::Refused { namespace: text(namespace), event: event.clone(), ack: *ack, excess: *excess }
            }
            Self::Malformed => Inbound::Malformed,
        }
    }
}

/// The name of an event that is refused without parsing it, cut to 64 characters; empty if the first 256 bytes of its
/// content do not contain the whole name.
#[must_use]
pub fn event_name(content: &str) -> String {
    let end = (0..=NAME_WITHIN.min(content.len())).rev().find(|end| content.is_char_boundary(*end)).unwrap_or(0);
    let mut names = serde_json::Deserializer::from_str(content[..end].trim_start_matches('[')).into_iter::<String>();
    names.next().and_then(Result::ok).unwrap_or_default().chars().take(LONGEST_NAME).collect()
}
