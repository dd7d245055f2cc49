//! The protocol that a client speaks: [Socket.IO](socketio) or [Centrifugo](centrifugo) over WebSocket.
//!
//! A dialect is a pure translation. Requests have ids: [`JOIN`], and from [`FIRST_MESSAGE`] on the messages; a dialect
//! that numbers in another way translates.

pub mod centrifugo;
pub mod socketio;

use clap::ValueEnum;

/// The id of the request to join a room.
pub const JOIN: u64 = 0;
/// The id of a socket's first message; the next one has the next id.
pub const FIRST_MESSAGE: u64 = 1;

/// A packet from a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The transport is open: introduce yourself.
    Open,
    /// The client is signed in.
    Connected,
    /// The server refuses the client.
    Refused(&'a [u8]),
    /// Answer with [`Dialect::pong`].
    Ping,
    /// The answer to a request.
    Ack {
        /// The request's id.
        id: u64,
        /// Whether it was done.
        done: bool,
        /// All that was answered.
        body: &'a [u8],
    },
    /// A message of a room.
    Message(&'a [u8]),
    /// Anything else, such as who else joined.
    Other,
}

/// The protocol of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    /// Engine.IO 4 and Socket.IO 5, namespace `/chat`
    Socketio,
    /// Centrifugo's JSON protocol
    Centrifugo,
}

impl Dialect {
    /// Path and query of the WebSocket.
    pub fn path(self) -> &'static str {
        match self {
            Self::Socketio => "/socket.io/?EIO=4&transport=websocket",
            Self::Centrifugo => "/connection/websocket",
        }
    }

    /// Whether the client speaks first, without waiting for [`Packet::Open`].
    pub fn speaks_first(self) -> bool {
        self == Self::Centrifugo
    }

    /// Signs in.
    pub fn connect(self, text: &mut Vec<u8>, token: &str) {
        match self {
            Self::Socketio => socketio::connect(text, token),
            Self::Centrifugo => centrifugo::connect(text, token),
        }
    }

    /// Joins a room; the answer has the id [`JOIN`].
    pub fn join(self, text: &mut Vec<u8>, room: usize) {
        match self {
            Self::Socketio => socketio::join(text, room),
            Self::Centrifugo => centrifugo::join(text, room),
        }
    }

    /// Sends a message to a room. `content` appends its text.
    pub fn publish(self, text: &mut Vec<u8>, id: u64, room: usize, content: impl FnOnce(&mut Vec<u8>)) {
        match self {
            Self::Socketio => socketio::publish(text, id, room, content),
            Self::Centrifugo => centrifugo::publish(text, id, room, content),
        }
    }

    /// The answer to a ping.
    pub fn pong(self) -> &'static [u8] {
        match self {
            Self::Socketio => b"3",
            Self::Centrifugo => b"{}",
        }
    }

    /// The packets in one text frame.
    pub fn packets(self, frame: &[u8]) -> impl Iterator<Item = Packet<'_>> {
        // A frame of Centrifugo may have several, one a line; a line break cannot be inside of JSON. Socket.IO sends one.
        let mut rest = Some(frame);
        std::iter::from_fn(move || {
            let text = rest?;
            let end = (self == Self::Centrifugo).then(|| memchr::memchr(b'\n', text)).flatten();
            let (packet, after) = end.map_or((text, None), |end| (&text[..end], Some(&text[end + 1..])));
            rest = after.filter(|after| !after.is_empty());
            Some(match self {
                Self::Socketio => socketio::parse(packet),
                Self::Centrifugo => centrifugo::parse(packet),
            })
        })
    }
}

/// Appends formatted text.
fn append(text: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    use std::io::Write;
    // Writing to memory does not fail.
    let _ = text.write_fmt(arguments);
}

/// The number at the start of a text, and the rest.
fn leading_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_centrifugo_may_have_several_packets() {
        let kinds =
            |dialect: Dialect, frame: &[u8]| dialect.packets(frame).map(|p| p == Packet::Ping).collect::<Vec<_>>();
        assert_eq!(kinds(Dialect::Centrifugo, b"{}\n{\"id\":3,\"publish\":{}}\n{}\n"), [true, false, true]);
        assert_eq!(kinds(Dialect::Centrifugo, b"{}"), [true]);
        assert_eq!(kinds(Dialect::Socketio, b"2"), [true]);
    }
}
