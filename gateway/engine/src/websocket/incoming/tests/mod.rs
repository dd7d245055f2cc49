//! Whole messages from any bytes. This file feeds streams to the decoder; [`cases`] are tables by the groups of Autobahn's
//! suite, [`streams`] draws streams and their mutations, [`reference`] is tungstenite that they are compared with.

mod cases;

mod reference;
mod streams;

use std::{mem, ops::ControlFlow, panic};

use self::reference::assert_agrees;
use super::{Incoming, Message, Violation};

const MAX: usize = 1 << 20;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const FINAL: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = FINAL | 8;
const PING: u8 = FINAL | 9;
const PONG: u8 = FINAL | 10;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Got {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Nothing is held.
    Idle,
    /// A frame or message is not complete.
    Partial,
    Closed,
    Refused(Violation),
}

const PROTOCOL: End = End::Refused(Violation::Protocol);
const NOT_UTF8: End = End::Refused(Violation::NotUtf8);
const TOO_LONG: End = End::Refused(Violation::TooLong);

type Outcome = (Vec<Got>, End);

impl Got {
    fn of(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::Text(text.to_owned()),
            Message::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Message::Ping(payload) => Self::Ping(payload.to_vec()),
            Message::Pong => Self::Pong,
            Message::Close(code) => Self::Close(code),
        }
    }
}

/// Reads the stream in pieces of these sizes, again and again. Checks the bounds of memory after each.
fn ours(stream: &[u8], sizes: &[usize], max: usize) -> Outcome {
    let mut incoming = Incoming::default();
    let mut got = Vec::new();
    let mut stream = stream.to_vec();
    let mut sizes = sizes.iter().cycle();
    let (mut rest, mut arrived) = (&mut stream[..], 0);
    while !rest.is_empty() {
        let size = sizes.next().map_or(rest.len(), |size| *size.min(&rest.len()));
        let (piece, later) = mem::take(&mut rest).split_at_mut(size);
        rest = later;
        arrived += size;
        let flow = incoming.read(piece, max, &mut |message| {
            got.push(Got::of(message));
            ControlFlow::Continue(())
        });
        let held = incoming.held();
        assert!(held <= 2 * max + 125 && held <= 2 * arrived, "{held} bytes held, {arrived} arrived");
        let end = match flow {
            Ok(ControlFlow::Continue(())) => {
                // The owner may do the same.
                if incoming.is_empty() {
                    assert_eq!(held, 0);
                    incoming = Incoming::default();
                }
                continue;
            }
            Ok(ControlFlow::Break(())) => End::Closed,
            Err(violation) => End::Refused(violation),
        };
        assert!(!incoming.is_empty() && held == 0);
        let mut more = text("more");
        let later = incoming.read(&mut more, max, &mut |message| panic!("{message:?} after the end"));
        assert_eq!(later, Ok(ControlFlow::Break(())));
        return (got, end);
    }
    (got, if incoming.is_empty() { End::Idle } else { End::Partial })
}

#[derive(Debug, Clone)]
struct Raw {
    first: u8,
    mask: Option<[u8; 4]>,
    form: Form,
    payload: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Shortest,
    Bits16,
    Bits64,
}

impl Raw {
    fn bytes(&self) -> Vec<u8> {
        let length = self.payload.len();
        let bit = if self.mask.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![self.first];
        match (self.form, length) {
            (Form::Shortest, 0..126) => bytes.push(bit | length as u8),
            (Form::Shortest | Form::Bits16, 0..0x1_0000) => {
                bytes.push(bit | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(bit | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        let mask = self.mask.unwrap_or_default();
        bytes.extend(self.mask.iter().flatten());
        bytes.extend(self.payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }
}

fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    Raw { first, mask: Some(MASK), form: Form::Shortest, payload: payload.as_ref().to_vec() }.bytes()
}

fn text(text: &str) -> Vec<u8> {
    frame(FINAL | TEXT, text)
}

/// A text in fragments.
fn fragments<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut frames: Vec<_> = parts.into_iter().map(|part| frame(CONTINUATION, part)).collect();
    frames[0][0] |= TEXT;
    frames.last_mut().unwrap()[0] |= FINAL;
    frames
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(CLOSE, [&code.to_be_bytes(), reason].concat())
}

fn got_text(text: impl Into<String>) -> Got {
    Got::Text(text.into())
}

fn ping(payload: &[u8]) -> Got {
    Got::Ping(payload.to_vec())
}

/// However the frames arrive, these messages come out. Tungstenite agrees, or differs as known.
fn check(name: &str, frames: &[Vec<u8>], messages: &[Got], end: End) {
    let stream = frames.concat();
    let by_frame: Vec<usize> = frames.iter().map(Vec::len).collect();
    for sizes in [&[][..], &by_frame, &[1], &[2], &[3], &[5], &[7, 1], &[13], &[997], &[4096]] {
        let (got, got_end) = ours(&stream, sizes, MAX);
        assert!(got == messages, "{name}, by {sizes:?}");
        assert_eq!(got_end, end, "{name}, by {sizes:?}");
    }
    assert_agrees(&stream, &[], &[], MAX);
}
