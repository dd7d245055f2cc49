//! Whole messages from any bytes: tables by the groups of Autobahn's suite, properties, and a comparison with
//! tungstenite.

use std::{
    collections::VecDeque,
    io::{self, Cursor, Read, Write},
    iter, mem,
    ops::ControlFlow,
    panic, str,
};

use proptest::{prelude::*, sample::Index};
use tungstenite::{
    Error, WebSocket,
    protocol::{
        Role, WebSocketConfig,
        frame::{
            FrameHeader,
            coding::{CloseCode, OpCode},
        },
    },
};

use super::{assemble::MOST_FRAGMENTS, *};

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

#[test]
fn group_1_frames_of_each_length() {
    for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536] {
        let payload = "*".repeat(length);
        let name = format!("{length} bytes");
        check(&name, &[text(&payload)], &[got_text(payload.as_str())], End::Idle);
        let bytes = vec![0xfe; length];
        check(&name, &[frame(FINAL | BINARY, &bytes)], &[Got::Binary(bytes)], End::Idle);
    }
}

#[test]
fn group_2_pings_and_pongs() {
    check("2.1", &[frame(PING, "")], &[ping(b"")], End::Idle);
    check("2.2", &[frame(PING, "Hello")], &[ping(b"Hello")], End::Idle);
    check("2.3", &[frame(PING, [0, 255, 254])], &[ping(&[0, 255, 254])], End::Idle);
    check("2.4", &[frame(PING, [254; 125])], &[ping(&[254; 125])], End::Idle);
    check("2.5", &[frame(PING, [254; 126])], &[], PROTOCOL);
    check("2.7", &[frame(PONG, "")], &[Got::Pong], End::Idle);
    check("2.8", &[frame(PONG, "payload")], &[Got::Pong], End::Idle);
    check("2.9", &[frame(PONG, "x"), frame(PING, "y")], &[Got::Pong, ping(b"y")], End::Idle);
    let pings: Vec<_> = (0..10).map(|number| vec![number; usize::from(number)]).collect();
    let frames: Vec<_> = pings.iter().map(|payload| frame(PING, payload)).collect();
    check("2.10", &frames, &pings.into_iter().map(Got::Ping).collect::<Vec<_>>(), End::Idle);
    check("a long pong", &[frame(PONG, [0; 126])], &[], PROTOCOL);
}

#[test]
fn group_3_reserved_bits() {
    for bits in 1..8 {
        for first in [FINAL | TEXT, FINAL | BINARY, PING, PONG, CLOSE, TEXT] {
            let bad = frame(bits << 4 | first, "");
            check("3", &[text("a"), bad, frame(PING, "")], &[got_text("a")], PROTOCOL);
        }
    }
}

#[test]
fn group_4_reserved_opcodes() {
    for opcode in (3..8).chain(11..16) {
        for payload in ["", "payload"] {
            let bad = frame(FINAL | opcode, payload);
            check("4", &[text("a"), bad, frame(PING, "")], &[got_text("a")], PROTOCOL);
        }
    }
}

#[test]
fn group_5_fragmentation() {
    let (a, b) = (frame(TEXT, "frag1"), frame(FINAL, "frag2"));
    let whole = got_text("frag1frag2");
    check("5.1", &[frame(PING & !FINAL, "a"), frame(FINAL, "b")], &[], PROTOCOL);
    check("5.2", &[frame(PONG & !FINAL, "a"), frame(FINAL, "b")], &[], PROTOCOL);
    check("5.3-5.5", &[a.clone(), b.clone()], std::slice::from_ref(&whole), End::Idle);
    let with_ping = [a.clone(), frame(PING, "pingme"), b.clone()];
    check("5.6-5.8", &with_ping, &[ping(b"pingme"), whole.clone()], End::Idle);
    check("5.9-5.11", &[frame(FINAL, "x"), text("a")], &[], PROTOCOL);
    check("5.12-5.14", &[frame(CONTINUATION, "x"), text("a")], &[], PROTOCOL);
    check("5.15", &[a.clone(), b.clone(), frame(CONTINUATION, "x"), text("a")], &[whole], PROTOCOL);
    check("5.16", &[frame(CONTINUATION, "x"), text("a"), frame(FINAL, "y")], &[], PROTOCOL);
    check("5.17", &[frame(FINAL, "x"), text("a"), frame(FINAL, "y")], &[], PROTOCOL);
    check("5.18", &[a.clone(), frame(TEXT, "frag2")], &[], PROTOCOL);
    check("a whole text between fragments", &[a.clone(), text("a")], &[], PROTOCOL);
    check("a binary frame between fragments", &[a.clone(), frame(FINAL | BINARY, "")], &[], PROTOCOL);
    let mut five = fragments(["f1", "f2", "f3", "f4", "f5"].map(str::as_bytes));
    five.insert(2, frame(PING, "p1"));
    five.insert(5, frame(PING, "p2"));
    five.extend([frame(PING, "p3"), close(1000, b"")]);
    let messages = [ping(b"p1"), ping(b"p2"), got_text("f1f2f3f4f5"), ping(b"p3"), Got::Close(Some(1000))];
    check("5.19-5.20", &five, &messages, End::Closed);
    check("an open message", &[a], &[], End::Partial);
    let parts = [frame(BINARY, [0xff]), frame(CONTINUATION, ""), frame(FINAL, [0xfe])];
    check("binary", &parts, &[Got::Binary(vec![0xff, 0xfe])], End::Idle);
}

/// In one frame, and in fragments: of one byte each, and in two or three at every position.
fn check_text(bytes: &[u8], is_valid: bool) {
    let mut splits = vec![vec![bytes]];
    splits.push(bytes.chunks(1).collect());
    for middle in 0..=bytes.len() {
        let (a, b) = bytes.split_at(middle);
        splits.push(vec![a, b]);
        splits.push(vec![a, b"", b]);
    }
    for split in splits.into_iter().filter(|split| !split.is_empty()) {
        let name = format!("6: {split:x?}");
        match is_valid {
            true => check(&name, &fragments(split), &[got_text(str::from_utf8(bytes).unwrap())], End::Idle),
            false => check(&name, &fragments(split), &[], NOT_UTF8),
        }
    }
}

#[test]
fn group_6_valid_texts() {
    let valid: [&[u8]; 18] = [
        b"",
        b"middle frame payload",
        "Hello-µ@ßöäüàá-UTF-8!!".as_bytes(),
        "κόσμε".as_bytes(),
        b"\x00",
        "\u{80}\u{800}\u{10000}".as_bytes(),
        "\u{7f}\u{7ff}\u{ffff}".as_bytes(),
        "\u{d7ff}\u{e000}\u{fffd}\u{10ffff}".as_bytes(),
        "\u{fffe}".as_bytes(),
        "\u{ffff}".as_bytes(),
        "\u{1fffe}\u{1ffff}\u{2fffe}\u{2ffff}".as_bytes(),
        "\u{10fffe}\u{10ffff}".as_bytes(),
        b"\xc2\xa0",
        b"\xe0\xa0\x80",
        b"\xed\x9f\xbf",
        b"\xee\x80\x80",
        b"\xf0\x90\x80\x80",
        b"\xf4\x8f\xbf\xbf",
    ];
    for bytes in valid {
        check_text(bytes, true);
    }
}

#[test]
fn group_6_invalid_texts() {
    let invalid: [&[u8]; 38] = [
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited", // 6.3
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited", // 6.4
        b"\xce\xba\xe1\xbd",                                               // 6.6: a character is not complete
        b"\xce",
        b"\xf8\x88\x80\x80\x80", // 6.8: 5 and 6 bytes
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xf7\xbf\xbf\xbf", // 6.10
        b"\xfb\xbf\xbf\xbf\xbf",
        b"\xfd\xbf\xbf\xbf\xbf\xbf",
        b"\xf4\x90\x80\x80", // 6.11: beyond the last character
        b"\x80",             // 6.12: continuation bytes alone
        b"\xbf",
        b"\x80\xbf\x80\xbf",
        b"\xc0 \xc1 ", // 6.13: first bytes alone
        b"\xe0 \xe1 ",
        b"\xf0 \xf4 ",
        b"\xf8 ",
        b"\xfc ",
        b"\xc0", // 6.14: the last byte is missing
        b"\xe0\x80",
        b"\xf0\x80\x80",
        b"\xdf",
        b"\xef\xbf",
        b"\xf7\xbf\xbf",
        b"\xc2\xe0\xa0\xf0\x90\x80", // 6.15
        b"\xfe",                     // 6.16
        b"\xff",
        b"\xfe\xfe\xff\xff",
        b"\xc0\xaf", // 6.17-6.19: overlong
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xf0\x8f\xbf\xbf",
        b"\xc0\x80",
        b"\xed\xa0\x80", // 6.20: surrogates
        b"\xed\xbf\xbf",
        b"\xed\xa0\x80\xed\xb0\x80", // 6.21
    ];
    for bytes in invalid {
        check_text(bytes, false);
        check_text(&[b"before ", bytes, b" after"].concat(), false);
    }
}

#[test]
fn group_6_a_bad_text_is_refused_before_it_is_complete() {
    let good = "κόσμε".as_bytes();
    let parts = [frame(TEXT, good), frame(CONTINUATION, b"\xf4\x90"), frame(PING, "")];
    check("6.4.1", &parts, &[], NOT_UTF8);
    let stream = frame(TEXT, [good, b"\xf4\x90\x80\x80"].concat());
    // Up to the byte that no later byte can make good.
    let cut = stream.len() - 2;
    check("6.4.3", &[stream[..cut].to_vec()], &[], NOT_UTF8);
    check("6.4.3, a byte less", &[stream[..cut - 1].to_vec()], &[], End::Partial);
}

#[test]
fn group_7_close_frames() {
    let closed = [got_text("a"), Got::Close(Some(1000))];
    for (name, later) in [
        ("7.1.1", vec![]),
        ("7.1.2", close(1000, b"")),
        ("7.1.3", frame(PING, "")),
        ("7.1.4", text("b")),
        ("nonsense after a close", vec![0xff; 20]),
    ] {
        check(name, &[text("a"), close(1000, b""), later], &closed, End::Closed);
    }
    let parts = [frame(TEXT, "a"), close(1000, b""), frame(FINAL, "b")];
    check("7.1.5", &parts, &closed[1..], End::Closed);
    let long = "*".repeat(256 * 1024);
    let messages = [got_text(long.as_str()), Got::Close(Some(1000))];
    check("7.1.6", &[text(&long), close(1000, b""), frame(PING, "")], &messages, End::Closed);
    check("7.3.1", &[frame(CLOSE, "")], &[Got::Close(None)], End::Closed);
    check("7.3.2", &[frame(CLOSE, "a")], &[], PROTOCOL);
    check("7.3.3", &[close(1000, b"")], &closed[1..], End::Closed);
    check("7.3.4", &[close(1000, b"Hello World!")], &closed[1..], End::Closed);
    check("7.3.5", &[close(1000, &[b'*'; 123])], &closed[1..], End::Closed);
    check("7.3.6", &[close(1000, &[b'*'; 124])], &[], PROTOCOL);
    check("7.5.1", &[close(1000, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited")], &[], NOT_UTF8);
}

#[test]
fn group_7_close_codes() {
    for code in 0..=u16::MAX {
        let is_valid = match code {
            // Tungstenite does not know 1014.
            1014 => true,
            code => CloseCode::from(code).is_allowed(),
        };
        let (messages, end) = ours(&close(code, b"reason"), &[], MAX);
        match is_valid {
            true => assert_eq!((messages, end), (vec![Got::Close(Some(code))], End::Closed)),
            false => assert_eq!((messages, end), (vec![], PROTOCOL), "{code}"),
        }
    }
    for code in [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
        check("7.7", &[close(code, b"")], &[Got::Close(Some(code))], End::Closed);
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        check("7.9, 7.13", &[close(code, b"reason")], &[], PROTOCOL);
    }
}

#[test]
fn group_10_a_text_in_many_fragments() {
    let payload = "*".repeat(65_536);
    let frames = fragments(payload.as_bytes().chunks(1_300));
    check("10.1.1", &frames, &[got_text(payload)], End::Idle);
}

#[test]
fn an_unmasked_frame_and_a_length_in_a_longer_form_are_refused() {
    let unmasked = Raw { first: FINAL | TEXT, mask: None, form: Form::Shortest, payload: b"a".to_vec() };
    check("unmasked", &[unmasked.bytes()], &[], PROTOCOL);
    for (form, length) in [(Form::Bits16, 125), (Form::Bits64, 125), (Form::Bits64, 65_535)] {
        let long = Raw { first: FINAL | TEXT, mask: Some(MASK), form, payload: vec![b'*'; length] };
        check("a long form", &[text("a"), long.bytes(), text("b")], &[got_text("a")], PROTOCOL);
    }
    check("the top bit", &[[0x81, 0xff, 0x80].into_iter().chain([0; 11]).collect()], &[], PROTOCOL);
}

#[test]
fn a_message_that_is_too_long_is_refused_with_the_header_that_announces_it() {
    let header = |stream: Vec<u8>| stream[..stream.len() - 1_000].to_vec();
    let one = header(frame(FINAL | BINARY, [0; 1_000]));
    assert_eq!(ours(&one, &[], 1_000), (vec![], End::Partial));
    assert_eq!(ours(&one, &[], 999), (vec![], TOO_LONG));
    let two = [frame(BINARY, [0; 500]), header(frame(FINAL, [0; 1_000]))].concat();
    for sizes in [&[][..], &[1], &[7]] {
        assert_eq!(ours(&two, sizes, 1_500), (vec![], End::Partial));
        assert_eq!(ours(&two, sizes, 1_499), (vec![], TOO_LONG));
    }
    let huge = [0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 1];
    assert_eq!(ours(&huge, &[], MAX), (vec![], TOO_LONG));
    // No limit: only what arrived takes memory, and nothing overflows.
    assert_eq!(ours(&[&frame(BINARY, "a")[..], &huge].concat(), &[], usize::MAX / 4), (vec![], PROTOCOL));
    let mut endless = huge;
    endless[0] = 0x80;
    let mut incoming = Incoming::default();
    let mut stream = [&frame(BINARY, "abc")[..], &endless].concat();
    let flow = incoming.read(&mut stream, usize::MAX, &mut |_| ControlFlow::Continue(()));
    assert_eq!((flow, incoming.held()), (Ok(ControlFlow::Continue(())), 6));
    // The limit is for messages: a control frame may be longer.
    assert_eq!(ours(&frame(PING, "abc"), &[1], 2), (vec![ping(b"abc")], End::Idle));
}

#[test]
fn a_limit_that_shrinks_does_not_affect_a_frame_that_began() {
    let mut incoming = Incoming::default();
    let mut stream = frame(FINAL | BINARY, [0; 100]);
    let (first, last) = stream.split_at_mut(50);
    let mut count = 0;
    let mut on = |message: Message<'_>| {
        count += usize::from(message == Message::Binary(&[0; 100]));
        ControlFlow::Continue(())
    };
    assert_eq!(incoming.read(first, 100, &mut on), Ok(ControlFlow::Continue(())));
    assert_eq!(incoming.read(last, 0, &mut on), Ok(ControlFlow::Continue(())));
    assert_eq!(count, 1);
}

#[test]
fn a_message_may_have_4096_fragments() {
    let empty = |count: usize| {
        let first = frame(TEXT, "");
        let middle = iter::repeat_n(frame(CONTINUATION, ""), count - 2);
        let frames: Vec<_> = iter::once(first).chain(middle).chain([frame(FINAL, "")]).collect();
        frames
    };
    check("4,096 fragments", &[empty(4_096), empty(4_096)].concat(), &[got_text(""), got_text("")], End::Idle);
    check("4,097 fragments", &empty(4_097), &[], TOO_LONG);
    let cut = empty(4_096).concat();
    assert_eq!(ours(&cut[..cut.len() - 6], &[], MAX), (vec![], End::Partial));
}

#[test]
fn a_whole_frame_is_passed_on_where_it_lies() {
    let mut incoming = Incoming::default();
    let frames = [text("Hello"), frame(FINAL | BINARY, [7; 300]), frame(PING, "p"), frame(TEXT, ""), frame(FINAL, "b")];
    let mut stream = frames.concat();
    let place = stream.as_ptr_range();
    let mut count = 0;
    let flow = incoming.read(&mut stream, MAX, &mut |message| {
        let bytes = match message {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) | Message::Ping(bytes) => bytes,
            Message::Pong | Message::Close(_) => unreachable!(),
        };
        assert!(place.contains(&bytes.as_ptr()));
        count += 1;
        ControlFlow::Continue(())
    });
    assert_eq!((flow, count), (Ok(ControlFlow::Continue(())), 4));
    assert!(incoming.is_empty() && incoming.held() == 0);
}

#[test]
fn a_long_message_byte_by_byte_takes_linear_work_and_no_more_memory_than_it_is_long() {
    let payload = "é".repeat(MAX * 3 / 8);
    let mut stream = text(&payload);
    let mut incoming = Incoming::default();
    let mut moves = 0;
    let mut last = 0;
    let mut count = 0;
    for byte in stream.chunks_mut(1) {
        let flow = incoming.read(byte, MAX, &mut |message| {
            count += usize::from(message == Message::Text(&payload));
            ControlFlow::Continue(())
        });
        assert_eq!(flow, Ok(ControlFlow::Continue(())));
        moves += usize::from(incoming.held() != last);
        last = incoming.held();
        assert!(last <= payload.len());
    }
    // 1, 2, 4 … 2^19, the end of the message, and 0.
    assert!(count == 1 && moves == 22 && incoming.is_empty());
}

#[test]
fn break_drops_the_rest() {
    let mut incoming = Incoming::default();
    let mut stream = [text("a"), text("b"), text("c"), frame(TEXT, "d")].concat();
    let mut got = Vec::new();
    let flow = incoming.read(&mut stream, MAX, &mut |message| {
        got.push(Got::of(message));
        if got.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!((flow, got), (Ok(ControlFlow::Break(())), vec![got_text("a"), got_text("b")]));
    assert!(!incoming.is_empty() && incoming.held() == 0);
}

#[test]
fn a_panic_ends_the_stream() {
    let mut incoming = Incoming::default();
    let mut stream = [text("a"), text("b")].concat();
    let reads =
        panic::AssertUnwindSafe(|| incoming.read(&mut stream, MAX, &mut |_| panic::resume_unwind(Box::new(()))));
    assert!(panic::catch_unwind(reads).is_err());
    let flow = incoming.read(&mut text("c"), MAX, &mut |message| panic!("{message:?} after a panic"));
    assert_eq!(flow, Ok(ControlFlow::Break(())));
}

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
enum Difference {
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

fn assert_agrees(stream: &[u8], our_sizes: &[usize], their_sizes: &[usize], max: usize) -> Option<Difference> {
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

/// Payloads: mostly short, some of a length where the header changes.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![20 => 0usize..20, 4 => 120usize..132, 2 => 0usize..1_000, 1 => 65_530usize..65_540]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    (length(), any::<[u8; 7]>()).prop_map(|(length, pattern)| pattern.into_iter().cycle().take(length).collect())
}

fn words() -> impl Strategy<Value = String> {
    let edge = "\u{10ffff}\u{d7ff}".to_owned();
    let word = prop_oneof!["[a-z]{0,4}", "\\PC{0,3}", Just("κόσμε".to_owned()), Just(edge)];
    (word, 0usize..200).prop_map(|(word, times)| word.repeat(times / 4 / word.len().max(1)))
}

fn control() -> impl Strategy<Value = (u8, Vec<u8>)> {
    (prop_oneof![Just(PING), Just(PONG)], prop::collection::vec(any::<u8>(), 0..126))
}

fn close_payload() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![Just(1000u16), Just(1014), Just(1004), Just(1005), 900u16..5_100, any::<u16>()];
    let reason = prop::sample::select(vec![&b""[..], b"bye", b"Protocol violation", b"\xff"]);
    prop_oneof![
        1 => Just(Vec::new()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
        8 => (code, reason).prop_map(|(code, reason)| [&code.to_be_bytes(), reason].concat()),
    ]
}

/// A message in frames, with control frames between them, and all that must be passed on.
fn message() -> impl Strategy<Value = (Vec<Raw>, Vec<Got>)> {
    let payload = prop_oneof![
        words().prop_map(|text| (TEXT, text.clone().into_bytes(), Got::Text(text))),
        bytes().prop_map(|bytes| (BINARY, bytes.clone(), Got::Binary(bytes))),
    ];
    let pieces =
        prop::collection::vec((any::<Index>(), any::<[u8; 4]>(), prop::option::weighted(0.3, control())), 1..5);
    (payload, pieces).prop_map(|((opcode, payload, whole), pieces)| {
        let mut ends: Vec<_> = pieces[1..].iter().map(|piece| piece.0.index(payload.len() + 1)).collect();
        ends.push(payload.len());
        ends.sort_unstable();
        let (mut frames, mut got, mut start) = (Vec::new(), Vec::new(), 0);
        let last = ends.len() - 1;
        for (index, (end, (_, mask, control))) in ends.into_iter().zip(pieces).enumerate() {
            let opcode = if index == 0 { opcode } else { CONTINUATION };
            let first = if index == last { FINAL | opcode } else { opcode };
            let payload = payload[start..end].to_vec();
            start = end;
            frames.push(Raw { first, mask: Some(mask), form: Form::Shortest, payload });
            if index == last {
                got.push(whole.clone());
            }
            if let Some((first, payload)) = control {
                got.push(if first == PING { Got::Ping(payload.clone()) } else { Got::Pong });
                frames.push(Raw { first, mask: Some(mask), form: Form::Shortest, payload });
            }
        }
        (frames, got)
    })
}

fn messages() -> impl Strategy<Value = (Vec<Raw>, Vec<Got>)> {
    prop::collection::vec(message(), 0..5).prop_map(|messages| {
        let (frames, got): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        (frames.concat(), got.concat())
    })
}

fn stream_of(frames: &[Raw]) -> Vec<u8> {
    frames.iter().flat_map(Raw::bytes).collect()
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        1 => Just(vec![]),
        1 => Just(vec![1]),
        4 => prop::collection::vec(prop_oneof![3 => 1usize..12, 1 => 1usize..300, 1 => 1usize..30_000], 1..6),
    ]
}

#[derive(Debug, Clone)]
enum Mutation {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Truncate(Index),
    /// Of a frame: another first byte.
    First(Index, u8),
    Unmask(Index),
    Form(Index, bool),
    Swap(Index, Index),
    Repeat(Index),
    Close(Index, Vec<u8>),
}

impl Mutation {
    fn of_frames(&self, frames: &mut Vec<Raw>) {
        let count = frames.len();
        if count == 0 {
            return;
        }
        match self {
            Self::First(index, first) => frames[index.index(count)].first = *first,
            Self::Unmask(index) => frames[index.index(count)].mask = None,
            Self::Form(index, is_64) => {
                frames[index.index(count)].form = if *is_64 { Form::Bits64 } else { Form::Bits16 };
            }
            Self::Swap(a, b) => frames.swap(a.index(count), b.index(count)),
            Self::Repeat(index) => frames.push(frames[index.index(count)].clone()),
            Self::Close(index, payload) => {
                let close = Raw { first: CLOSE, mask: Some(MASK), form: Form::Shortest, payload: payload.clone() };
                frames.insert(index.index(count + 1), close);
            }
            _ => {}
        }
    }

    fn of_bytes(&self, stream: &mut Vec<u8>) {
        let length = stream.len();
        if length == 0 {
            return;
        }
        match self {
            Self::Set(index, byte) => stream[index.index(length)] = *byte,
            Self::Flip(index, bit) => stream[index.index(length)] ^= 1 << (bit % 8),
            Self::Insert(index, byte) => stream.insert(index.index(length), *byte),
            Self::Remove(index) => drop(stream.remove(index.index(length))),
            Self::Truncate(index) => stream.truncate(index.index(length)),
            _ => {}
        }
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<Index>;
    prop_oneof![
        (index(), any::<u8>()).prop_map(|(index, byte)| Mutation::Set(index, byte)),
        (index(), any::<u8>()).prop_map(|(index, bit)| Mutation::Flip(index, bit)),
        (index(), any::<u8>()).prop_map(|(index, byte)| Mutation::Insert(index, byte)),
        index().prop_map(Mutation::Remove),
        index().prop_map(Mutation::Truncate),
        (index(), any::<u8>()).prop_map(|(index, first)| Mutation::First(index, first)),
        index().prop_map(Mutation::Unmask),
        (index(), any::<bool>()).prop_map(|(index, is_64)| Mutation::Form(index, is_64)),
        (index(), index()).prop_map(|(a, b)| Mutation::Swap(a, b)),
        index().prop_map(Mutation::Repeat),
        (index(), close_payload()).prop_map(|(index, payload)| Mutation::Close(index, payload)),
    ]
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    (messages(), prop::collection::vec(mutation(), 0..4)).prop_map(|((mut frames, _), mutations)| {
        mutations.iter().for_each(|mutation| mutation.of_frames(&mut frames));
        let mut stream = stream_of(&frames);
        mutations.iter().for_each(|mutation| mutation.of_bytes(&mut stream));
        stream
    })
}

fn max() -> impl Strategy<Value = usize> {
    prop_oneof![Just(125), Just(200), 125usize..1_000, Just(MAX)]
}

proptest! {
    #[test]
    fn a_valid_stream_gives_its_messages_in_any_pieces((frames, expected) in messages(), sizes in sizes()) {
        prop_assert_eq!(ours(&stream_of(&frames), &sizes, MAX), (expected, End::Idle));
    }

    #[test]
    fn any_stream_gives_the_same_in_any_pieces(stream in mutated(), sizes in sizes(), max in max()) {
        prop_assert_eq!(ours(&stream, &sizes, max), ours(&stream, &[], max));
    }

    #[test]
    fn tungstenite_gives_the_same(stream in mutated(), a in sizes(), b in sizes(), max in max()) {
        assert_agrees(&stream, &a, &b, max);
    }

    #[test]
    fn no_bytes_panic(stream in prop::collection::vec(any::<u8>(), 0..200), sizes in sizes(), max in 0usize..300) {
        let whole = ours(&stream, &[], max);
        prop_assert_eq!(ours(&stream, &sizes, max), whole);
        // Valid first bytes, so that more than the first header is read.
        let mut stream = stream;
        for (index, byte) in [0x01, 0x84, 1, 2, 3, 4].into_iter().enumerate().take(stream.len()) {
            stream[index] = byte;
        }
        let whole = ours(&stream, &[], max);
        prop_assert_eq!(ours(&stream, &sizes, max), whole);
    }
}
