//! One WebSocket client of a crowd.

use std::net::SocketAddrV4;

use crate::tcp::Tcp;

/// How far a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// TCP connects.
    Connecting,
    /// The upgrade to WebSocket was requested.
    Upgrading,
    /// It signs in.
    SigningIn,
    /// It joins its room.
    Joining,
    /// It works.
    Ready,
    /// Its connection is gone.
    Closed,
}

/// A client.
pub struct Client {
    /// None once it is closed.
    pub tcp: Option<Tcp>,
    /// How far it is.
    pub stage: Stage,
    /// The beginning of what is not complete yet.
    pub begun: Vec<u8>,
    /// When it started to connect.
    pub since: u64,
    /// Joins that were refused.
    pub refusals: u32,
}

/// The request for a WebSocket. The key may be the same each time: it protects caches, and there is none here.
pub fn upgrade(path: &str, target: SocketAddrV4) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {target}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// The code and the text of a close frame.
pub fn close_reason(payload: &[u8]) -> String {
    match payload {
        [a, b, text @ ..] => format!(" ({} {})", u16::from_be_bytes([*a, *b]), String::from_utf8_lossy(text)),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_frame_may_say_why() {
        assert_eq!(close_reason(b"\x0f\xa0go away"), " (4000 go away)");
        assert_eq!(close_reason(b""), "");
    }
}
