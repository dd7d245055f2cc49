//! Tables by the groups of Autobahn's suite, and promises of their own.

use std::{iter, ops::ControlFlow, panic, str};

use tungstenite::protocol::frame::coding::CloseCode;

use super::{super::*, *};

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
