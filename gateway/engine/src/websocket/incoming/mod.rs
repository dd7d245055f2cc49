//! Turns the bytes that a WebSocket client sends into messages, by the rules of RFC 6455. Pure: no I/O, no clock.
//!
//! [`frames`] reads frame headers and removes masks; [`assemble`] joins frames into messages and checks texts, lengths
//! and close frames.
//!
//! Guarantees:
//! - Every message and control frame is passed on once, whole and in order, however the bytes were split into reads.
//! - The first rule that the client breaks ends the stream. After that, and after a close frame, nothing is passed on.
//! - A frame that arrived whole is passed on as a slice of the read buffer: nothing is copied or allocated.
//! - Memory grows with the bytes that arrived, not with the length that a header announces, and is freed as soon as the
//!   message is complete. Between two messages none is held.
//!
//! Deliberately absent: extensions (so every reserved bit is refused), the answers (a pong, the echo of a close frame),
//! and timeouts. The owner of the connection does these.

mod assemble;
mod frames;
#[cfg(test)]
mod tests;

pub(crate) use assemble::Incoming;

/// A message or control frame from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
    /// With the payload that the pong must repeat.
    Ping(&'a [u8]),
    Pong,
    /// The last message of a connection. `None`: the client gave no status code.
    Close(Option<u16>),
}

/// A rule of RFC 6455 or a limit that the client broke. The connection ends with [`code`](Self::code).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Violation {
    Protocol,
    NotUtf8,
    TooLong,
}

impl Violation {
    /// The status code for the close frame to the client (RFC 6455, section 7.4.1).
    pub(crate) fn code(self) -> u16 {
        match self {
            Self::Protocol => 1002,
            Self::NotUtf8 => 1007,
            Self::TooLong => 1009,
        }
    }
}
