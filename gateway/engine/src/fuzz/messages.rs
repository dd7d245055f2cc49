//! The bytes of a WebSocket client.

use std::{mem, ops::ControlFlow};

use crate::websocket::incoming::{Incoming, Message, Violation};

/// Most bytes of a message, and of a control frame.
const MAX: usize = 1 << 10;
const CONTROL: usize = 125;

const FINAL: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PONG: u8 = 10;

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// `true`: nothing is held.
    Open(bool),
    Closed,
    Refused(Violation),
}

/// The message that was passed on: the kind as its opcode, and the payload.
type Outcome = (Vec<(u8, Vec<u8>)>, End);

/// Any bytes: the first one is how many of the others come at once. Messages do not depend on that, and memory is
/// bounded by the bytes that arrived.
pub fn frames(data: &[u8]) {
    let Some((&at_once, stream)) = data.split_first() else { return };
    let whole = read(stream, stream.len());
    assert_eq!(read(stream, 1 + usize::from(at_once)), whole, "by {at_once}");
    assert_eq!(read(stream, 1), whole, "byte by byte");
}

fn read(stream: &[u8], at_once: usize) -> Outcome {
    let mut incoming = Incoming::default();
    let mut passed = Vec::new();
    let mut arrived = 0;
    for piece in stream.chunks(at_once.max(1)) {
        let mut piece = piece.to_vec();
        arrived += piece.len();
        let flow = incoming.read(&mut piece, MAX, &mut |message| {
            passed.push(match message {
                Message::Text(text) => (TEXT, text.as_bytes().to_vec()),
                Message::Binary(bytes) => (2, bytes.to_vec()),
                Message::Close(code) => (CLOSE, code.map_or(Vec::new(), |code| code.to_be_bytes().to_vec())),
                Message::Ping(payload) => (9, payload.to_vec()),
                Message::Pong => (PONG, Vec::new()),
            });
            ControlFlow::Continue(())
        });
        let held = incoming.held();
        assert!(held <= 2 * MAX + CONTROL && held <= 2 * arrived, "{held} bytes held, {arrived} arrived");
        match flow {
            Ok(ControlFlow::Continue(())) => continue,
            Ok(ControlFlow::Break(())) => return (passed, End::Closed),
            Err(violation) => return (passed, End::Refused(violation)),
        }
    }
    (passed, End::Open(incoming.is_empty()))
}

/// Well-formed frames: of each, the first byte, the length, and the payload. The messages are those of a simple model.
pub fn messages(data: &[u8]) {
    let (mut rest, mut stream, mut model) = (data, Vec::new(), Model::default());
    while let &[first, length, ref after @ ..] = rest {
        let first = first & (FINAL | 0x0f);
        let (payload, after) = after.split_at(after.len().min(usize::from(length)));
        rest = after;
        // Enough, and under the limit on the fragments of a message.
        if stream.len() > 4 * MAX {
            break;
        }
        stream.push(first);
        match payload.len() {
            short @ 0..126 => stream.push(0x80 | short as u8),
            long => stream.extend([0xfe, 0, long as u8]),
        }
        let mask = [first, length, 0x55, 0];
        stream.extend(mask);
        stream.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        if model.end.is_none() {
            model.frame(first, payload);
        }
    }
    let (passed, end) = read(&stream, stream.len());
    assert_eq!(passed, model.passed);
    assert_eq!(end, model.end.unwrap_or(End::Open(model.opcode.is_none())));
}

#[derive(Default)]
struct Model {
    passed: Vec<(u8, Vec<u8>)>,
    end: Option<End>,
    /// The opcode of the message that is not complete.
    opcode: Option<u8>,
    message: Vec<u8>,
}

impl Model {
    fn frame(&mut self, first: u8, payload: &[u8]) {
        let (is_final, opcode) = (first & FINAL != 0, first & 0x0f);
        let violation = match opcode {
            3..=7 | 11.. => Some(Violation::Protocol),
            8.. if !is_final || payload.len() > CONTROL => Some(Violation::Protocol),
            8.. => return self.control(opcode, payload),
            _ if (opcode == CONTINUATION) != self.opcode.is_some() => Some(Violation::Protocol),
            _ if self.message.len() + payload.len() > MAX => Some(Violation::TooLong),
            _ => None,
        };
        if let Some(violation) = violation {
            self.end = Some(End::Refused(violation));
            return;
        }
        self.message.extend_from_slice(payload);
        let kind = *self.opcode.get_or_insert(opcode);
        let is_text = kind == TEXT;
        // A character may be split between two frames.
        let is_bad = |bytes: &[u8]| match std::str::from_utf8(bytes) {
            Ok(_) => false,
            Err(error) => is_final || error.error_len().is_some(),
        };
        if is_text && is_bad(&self.message) {
            self.end = Some(End::Refused(Violation::NotUtf8));
        } else if is_final {
            self.opcode = None;
            self.passed.push((kind, mem::take(&mut self.message)));
        }
    }

    fn control(&mut self, opcode: u8, payload: &[u8]) {
        if opcode != CLOSE {
            let answered = if opcode == PONG { Vec::new() } else { payload.to_vec() };
            return self.passed.push((opcode, answered));
        }
        self.end = Some(match payload {
            [] => {
                self.passed.push((CLOSE, Vec::new()));
                End::Closed
            }
            [_] => End::Refused(Violation::Protocol),
            [high, low, reason @ ..] => match u16::from_be_bytes([*high, *low]) {
                1000..=1003 | 1007..=1014 | 3000..=4999 if std::str::from_utf8(reason).is_err() => {
                    End::Refused(Violation::NotUtf8)
                }
                1000..=1003 | 1007..=1014 | 3000..=4999 => {
                    self.passed.push((CLOSE, vec![*high, *low]));
                    End::Closed
                }
                _ => End::Refused(Violation::Protocol),
            },
        });
    }
}
