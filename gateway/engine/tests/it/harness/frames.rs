//! WebSocket frames, encoded by hand so that tests can send invalid ones, and decoded strictly.

use bytes::{Buf as _, Bytes, BytesMut};

/// The bit of a message's last frame.
pub const FIN: u8 = 0x80;
pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

const MASK_BIT: u8 = 0x80;
const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

/// A message that a client receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Text(String),
    Binary(Bytes),
    Ping(Bytes),
    Pong(Bytes),
    /// With its code, if it has one.
    Close(Option<u16>),
    /// The end of the TCP connection.
    End,
}

/// A masked frame, as clients send it. `first` is its first byte: flags and opcode.
pub fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let length = match payload.len() {
        0..126 => vec![payload.len() as u8],
        126..65_536 => with_length(126, payload.len() as u64),
        long => with_length(127, long as u64),
    };
    let mut bytes = vec![first, length[0] | MASK_BIT];
    bytes.extend(&length[1..]);
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A length in the long form that `form` stands for: 126 for two bytes, 127 for eight.
pub fn with_length(form: u8, length: u64) -> Vec<u8> {
    let bytes = length.to_be_bytes();
    let bytes = if form == 126 { &bytes[6..] } else { &bytes[..] };
    [&[form], bytes].concat()
}

/// A masked Close frame.
pub fn close_frame(code: u16, reason: impl AsRef<[u8]>) -> Vec<u8> {
    frame(FIN | CLOSE, [&code.to_be_bytes(), reason.as_ref()].concat())
}

/// Takes the first frame of what a server sent, if it is complete. Panics if it breaks a rule for servers, or is
/// fragmented, which no engine does.
pub fn take(bytes: &mut BytesMut) -> Option<Message> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    assert_eq!(second & MASK_BIT, 0, "a server's frames are not masked");
    let (header, length) = match second {
        126 => (4, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap())),
        short => (2, u64::from(short)),
    };
    let shortest = if length < 126 {
        2
    } else if length < 65_536 {
        4
    } else {
        10
    };
    assert_eq!(header, shortest, "the length has the shortest form");
    let end = header + usize::try_from(length).unwrap();
    if bytes.len() < end {
        return None;
    }
    let mut payload = bytes.split_to(end).freeze();
    payload.advance(header);
    assert_eq!(first & 0xf0, FIN, "whole messages without reserved bits");
    Some(match first & 0x0f {
        TEXT => Message::Text(String::from_utf8(payload.to_vec()).expect("UTF-8")),
        BINARY => Message::Binary(payload),
        CLOSE => Message::Close(payload.get(..2).map(|code| u16::from_be_bytes(code.try_into().unwrap()))),
        PING => Message::Ping(payload),
        PONG => Message::Pong(payload),
        other => panic!("opcode {other}"),
    })
}
