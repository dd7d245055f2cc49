//! The same streams, read by tungstenite, and the known differences.

use std::{
    collections::VecDeque,
    io::{self, Cursor, Read, Write},
};

use tungstenite::{
    Error, WebSocket,
    protocol::{
        Role, WebSocketConfig,
        frame::{FrameHeader, coding::OpCode},
    },
};

use super::*;
use crate::websocket::incoming::assemble::MOST_FRAGMENTS;

/// A server by tungstenite whose client's bytes come from memory.
struct Tungstenite {
    socket: WebSocket<Memory>,
    got: Vec<Got>,
    /// The code of the last close frame was replaced by 1002, or the client sent this reason with a 1002.
    replaced: bool,
    end: Option<End>,
}

#[derive(Default)]
struct Memory(VecDeque<u8>);

impl Read for Memory {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.is_empty() {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => self.0.read(buf),
        }
    }
}

impl Write for Memory {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Tungstenite {
    fn new(max: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(1024)
            .max_message_size(Some(max))
            // Without this limit, tungstenite reserves as many bytes as a header announces.
            .max_frame_size(Some(max.max(125)));
        let socket = WebSocket::from_raw_socket(Memory::default(), Role::Server, Some(config));
        Self { socket, got: Vec::new(), replaced: false, end: None }
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.socket.get_mut().0.extend(bytes);
        while self.end.is_none() {
            match self.socket.read() {
                Ok(tungstenite::Message::Text(text)) => self.got.push(Got::Text(text.to_string())),
                Ok(tungstenite::Message::Binary(bytes)) => self.got.push(Got::Binary(bytes.to_vec())),
                Ok(tungstenite::Message::Ping(bytes)) => self.got.push(Got::Ping(bytes.to_vec())),
                Ok(tungstenite::Message::Pong(_)) => self.got.push(Got::Pong),
                Ok(tungstenite::Message::Close(close)) => {
                    self.replaced = close.as_ref().is_some_and(|close| close.reason == "Protocol violation");
                    self.got.push(Got::Close(close.map(|close| close.code.into())));
                    self.end = Some(End::Closed);
                }
                Ok(tungstenite::Message::Frame(_)) => unreachable!("never read"),
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(Error::Protocol(_)) => self.end = Some(PROTOCOL),
                Err(Error::Utf8(_)) => self.end = Some(NOT_UTF8),
                Err(Error::Capacity(_)) => self.end = Some(TOO_LONG),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn read(stream: &[u8], sizes: &[usize], max: usize) -> Self {
        let mut this = Self::new(max);
        let mut sizes = sizes.iter().cycle();
        let mut rest = stream;
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(sizes.next().map_or(rest.len(), |size| *size.min(&rest.len())));
            this.feed(piece);
            rest = later;
        }
        this
    }
}

/// The frames of a stream, as far as tungstenite can read their headers. The last one may be cut off; a header that
/// is cut off is filled up with zeros.
struct Walked {
    start: usize,
    end: usize,
    is_shortest_form: bool,
    /// The number of this frame in its message; 0 for a control frame.
    fragment: u16,
}

fn walk(stream: &[u8]) -> Vec<Walked> {
    let mut frames = Vec::new();
    let (mut start, mut count) = (0, 0);
    while start < stream.len() {
        let here: Vec<u8> = stream[start..].iter().copied().chain([0; 14]).take(14).collect();
        let mut cursor = Cursor::new(&here);
        let Ok(Some((header, length))) = FrameHeader::parse(&mut cursor) else { break };
        let consumed = cursor.position() as usize;
        let end = start.saturating_add(consumed).saturating_add(length as usize);
        let is_shortest_form = header.len(length) == consumed;
        let mut fragment = 0;
        if matches!(header.opcode, OpCode::Data(_)) {
            fragment = count + 1;
            count = if header.is_final { 0 } else { fragment };
        }
        frames.push(Walked { start, end, is_shortest_form, fragment });
        start = end;
    }
    frames
}

/// How this module differs from tungstenite, and why.
#[derive(Debug, PartialEq)]
pub(super) enum Difference {
    /// This module refuses a close code that must not be sent. Tungstenite passes on a close frame with 1002 in its
    /// place. The connection ends with 1002 in both cases.
    BadCloseCode,
    /// 1014 (bad gateway) is registered, and Autobahn counts it as valid. Tungstenite does not know it.
    Code1014,
    /// RFC 6455 demands the shortest form of a length. Tungstenite accepts each form.
    LongForm,
    /// Tungstenite accepts any number of fragments, so a message of empty ones never ends.
    ManyFragments,
    /// This module refuses a frame when its header has arrived, or a text with the first bad byte. Tungstenite
    /// waits until the frame is whole. No message is passed on in between.
    Earlier,
}

fn difference(stream: &[u8], ours: &Outcome, theirs: &mut Tungstenite, max: usize) -> Option<Difference> {
    let (messages, end) = ours;
    let frames = walk(stream);
    if theirs.replaced && theirs.got.last() == Some(&Got::Close(Some(1002))) {
        let before = &theirs.got[..theirs.got.len() - 1];
        if messages == before && *end == PROTOCOL {
            return Some(Difference::BadCloseCode);
        }
        if messages.split_last() == Some((&Got::Close(Some(1014)), before)) {
            return Some(Difference::Code1014);
        }
    }
    let stricter = frames.iter().find_map(|frame| match *end {
        PROTOCOL if !frame.is_shortest_form => Some((frame.start, Difference::LongForm)),
        TOO_LONG if frame.fragment > MOST_FRAGMENTS => Some((frame.start, Difference::ManyFragments)),
        _ => None,
    });
    if let Some((start, difference)) = stricter {
        // Up to that frame they agree.
        let before = Tungstenite::read(&stream[..start], &[], max);
        if before.end.is_none() && *messages == before.got {
            return Some(difference);
        }
    }
    if matches!(end, End::Refused(_)) && theirs.end.is_none() && *messages == theirs.got {
        // The last header may be one that tungstenite refuses once it is whole: 14 bytes are enough for that.
        let read = frames.last().map_or(0, |frame| frame.end);
        let end = if read < stream.len() { read + 14 } else { read };
        let missing = end.saturating_sub(stream.len()).min(max + 125 + 14);
        theirs.feed(&vec![0; missing]);
        let is_refused = matches!(theirs.end, Some(End::Refused(_)));
        return (is_refused && *messages == theirs.got).then_some(Difference::Earlier);
    }
    None
}

pub(super) fn assert_agrees(
    stream: &[u8],
    our_sizes: &[usize],
    their_sizes: &[usize],
    max: usize,
) -> Option<Difference> {
    let ours = ours(stream, our_sizes, max);
    let mut theirs = Tungstenite::read(stream, their_sizes, max);
    let same_end = match (ours.1, theirs.end) {
        (End::Idle | End::Partial, None) | (End::Closed, Some(End::Closed)) => true,
        // The code may be another if a frame breaks two rules.
        (End::Refused(_), Some(End::Refused(_))) => true,
        _ => false,
    };
    if same_end && ours.0 == theirs.got {
        return None;
    }
    let known = difference(stream, &ours, &mut theirs, max);
    let start = &stream[..stream.len().min(400)];
    assert!(known.is_some(), "ours: {ours:?}, theirs: {:?}, {:?}, stream: {start:x?}", theirs.got, theirs.end);
    known
}

#[test]
fn each_known_difference_is_real() {
    let differs = |stream: &[u8]| assert_agrees(stream, &[], &[], 1_000);
    assert_eq!(differs(&close(1005, b"")), Some(Difference::BadCloseCode));
    assert_eq!(differs(&close(1014, b"")), Some(Difference::Code1014));
    let long = Raw { first: FINAL | TEXT, mask: Some(MASK), form: Form::Bits16, payload: b"a".to_vec() };
    assert_eq!(differs(&long.bytes()), Some(Difference::LongForm));
    let many = [frame(TEXT, ""), frame(CONTINUATION, "").repeat(4_096)].concat();
    assert_eq!(differs(&many), Some(Difference::ManyFragments));
    assert_eq!(differs(&frame(FINAL | TEXT, "\u{20ac}".repeat(9))[..20]), None);
    assert_eq!(differs(&frame(FINAL | TEXT, b"\xff 234")[..8]), Some(Difference::Earlier));
    assert_eq!(differs(&frame(FINAL | TEXT | 0x40, "1234")[..8]), Some(Difference::Earlier));
}
