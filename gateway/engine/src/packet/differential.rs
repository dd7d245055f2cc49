//! Compares [`Decoder`] with the decoder over socketioxide's parser that it replaced.

use bytes::Bytes;
use engineioxide_core::Str;
use proptest::{collection::vec, prelude::*, sample::Index};

use super::{Decoder, DecoderLimits, reference};
use crate::{Inbound, Packet};

/// A kind of packet that the reference accepts and [`Decoder`] does not, because official servers (socket.io-parser
/// 4.0.5 and 4.2.7) close the connection: "invalid payload".
struct Difference {
    name: &'static str,
    why: &'static str,
    examples: &'static [&'static str],
    is_this: fn(kind: u8, payload: &str) -> bool,
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        name: "DISCONNECT with a payload",
        why: "the protocol defines no payload for DISCONNECT; the library ignores whatever follows",
        examples: &["1{}", "1abc", "1/chat,{}", "1/chat,7\"x\"", "1[\"a\"]"],
        is_this: |kind, payload| kind == b'1' && !payload.is_empty(),
    },
    Difference {
        name: "ACK or BINARY_ACK with an object as payload",
        why: "the protocol wants an array; the library ends the ack's id also at a `{`",
        examples: &["31{}", "3/chat,1{\"a\":1}", "61-1{}", "62-/chat,1{}"],
        is_this: |kind, payload| matches!(kind, b'3' | b'6') && payload.starts_with('{'),
    },
];

/// The name of the difference that explains why only the reference accepts `text`.
fn difference(text: &str) -> Option<&'static str> {
    let kind = *text.as_bytes().first()?;
    let rest = match kind {
        b'5' | b'6' => text.split_once('-')?.1,
        _ => text.get(1..)?,
    };
    let rest = if rest.starts_with('/') { rest.split_once(',')?.1 } else { rest };
    let payload = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    DIFFERENCES.iter().find(|difference| (difference.is_this)(kind, payload)).map(|difference| difference.name)
}

#[derive(Debug, Clone)]
enum Message {
    Text(String),
    Binary(Vec<u8>),
}

/// Arguments of [`DecoderLimits::new`].
type Limits = (usize, usize, usize);

/// Feeds both decoders. The reference drops acknowledgements, as the gateway once did. A packet of a listed difference is malformed, after which their states may differ.
fn compare(messages: &[Message], (payload, attachments, longest): Limits) -> Result<(), TestCaseError> {
    let limits = DecoderLimits::new(payload, attachments, longest);
    let old_limits = reference::DecoderLimits::new(payload, attachments, longest);
    let (mut decoder, mut reference) = (Decoder::default(), reference::Decoder::default());
    for message in messages {
        let (new, old): (Option<Packet>, Option<Inbound<Str>>) = match message {
            Message::Text(text) => (
                decoder.text(text, limits).map(|inbound| inbound.to_packet()),
                reference.text(text.clone().into(), old_limits),
            ),
            Message::Binary(part) => {
                (decoder.binary(part, limits), reference.binary(&Bytes::copy_from_slice(part), old_limits))
            }
        };
        let old = old.map(|inbound| inbound.to_packet());
        let new = new.filter(|packet| !matches!(packet, Inbound::Ack { .. }));
        let named = match message {
            Message::Text(text) => difference(text),
            Message::Binary(_) => None,
        };
        let expected = if named.is_some() { &Some(Inbound::Malformed) } else { &old };
        prop_assert_eq!(&new, expected, "{:?}, difference: {:?}", message, named);
        if new != old {
            break;
        }
    }
    Ok(())
}

/// One of `common`, or a string that matches `pattern`.
fn field(common: &'static [&'static str], pattern: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(common).prop_map(str::to_owned),
        1 => pattern,
    ]
}

fn namespace() -> impl Strategy<Value = String> {
    let names =
        &["", "", "", "/,", "/chat,", "/chat?token=a&b=/c,", "/é/ö,", "/ws/v1/productos,", "/chat", "chat,", ","];
    prop_oneof![
        8 => field(names, "/\\PC{0,12},?"),
        1 => (60..70_usize).prop_map(|length| format!("/{},", "n".repeat(length - 1))),
    ]
}

fn ack() -> impl Strategy<Value = String> {
    let acks = &[
        "",
        "",
        "",
        "0",
        "7",
        "007",
        "9223372036854775807",
        "9223372036854775808",
        "99999999999999999999999",
        "-1",
        "+1",
        "1.5",
        "1e3",
        " 1",
        "٣",
    ];
    field(acks, "[0-9]{1,25}")
}

fn payload() -> impl Strategy<Value = String> {
    let payloads = &[
        "",
        r#"["a"]"#,
        r#"["a",1]"#,
        "[]",
        "{}",
        r#"{"token":"t"}"#,
        "\"x\"",
        "null",
        "1",
        " [1]",
        "\u{feff}[1]",
        r#"["tab\t\u0061\"é",{"a":[1]}]"#,
        r#"[["a"]]"#,
        r#"["#,
        r#"["cut"#,
        "[7,1]",
        r#"{"a":"#,
        "]",
        "é",
        r#"["ünï-çødé","ö"]"#,
        r#"["a",{"_placeholder":true,"num":0}]"#,
    ];
    prop_oneof![
        6 => field(payloads, "[\\[{]?\\PC{0,30}"),
        1 => ("\\PC{0,80}", 0..300_usize).prop_map(|(name, rest)| format!("[\"{name}\",\"{}\"]", "x".repeat(rest))),
        1 => (240..270_usize).prop_map(|name| format!("[\"{}\"]", "é".repeat(name / 2))),
    ]
}

/// The number of binary parts, where the packet's kind has one.
fn count() -> impl Strategy<Value = String> {
    let counts = &[
        "0-",
        "1-",
        "1-",
        "2-",
        "2-",
        "3-",
        "002-",
        "11-",
        "1000-",
        "1001-",
        "18446744073709551616-",
        "-",
        "-1-",
        "+1-",
        "1",
        "1.0-",
        "",
        "1--",
    ];
    field(counts, "[0-9]{1,5}-?")
}

/// A packet with every field, each valid or invalid.
fn packet() -> impl Strategy<Value = String> {
    let kind = prop_oneof![8 => "[0-356]", 1 => "[4-9]", 1 => "\\PC?"];
    (kind, count(), any::<Index>(), namespace(), ack(), payload()).prop_map(
        |(kind, count, extra, namespace, ack, payload)| {
            let has_count = matches!(&*kind, "5" | "6") || extra.index(16) == 0;
            let count = if has_count { &*count } else { "" };
            format!("{kind}{count}{namespace}{ack}{payload}")
        },
    )
}

#[derive(Debug, Clone)]
enum Change {
    Delete,
    Insert(u8),
    Replace(u8),
}

/// A packet of which some bytes were changed.
fn mutated() -> impl Strategy<Value = String> {
    let byte = || prop_oneof![prop::sample::select(&b"0123456789-/,[]{}\"? \\\0"[..]), any::<u8>()];
    let change = prop_oneof![Just(Change::Delete), byte().prop_map(Change::Insert), byte().prop_map(Change::Replace)];
    // Half of the changes hit the header.
    let at = (any::<Index>(), prop_oneof![Just(8_usize), Just(usize::MAX)]);
    (packet(), vec((at, change), 1..4)).prop_map(|(packet, changes)| {
        let mut bytes = packet.into_bytes();
        for ((index, within), change) in changes {
            let at = index.index(bytes.len().min(within).max(1));
            match change {
                Change::Delete if at < bytes.len() => drop(bytes.remove(at)),
                Change::Replace(byte) if at < bytes.len() => bytes[at] = byte,
                Change::Insert(byte) => bytes.insert(at.min(bytes.len()), byte),
                Change::Delete | Change::Replace(_) => {}
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn text() -> impl Strategy<Value = Message> {
    prop_oneof![
        6 => packet(),
        4 => mutated(),
        1 => any::<String>(),
        1 => "[0-6]?[0-9]{0,2}-?[/a-z,0-9\\-]{0,8}\\PC{0,40}",
    ]
    .prop_map(Message::Text)
}

fn binary() -> impl Strategy<Value = Message> {
    vec(any::<u8>(), 0..40).prop_map(Message::Binary)
}

/// A valid packet with binary parts, followed by about as many parts as it announces.
fn with_parts() -> impl Strategy<Value = Vec<Message>> {
    (prop_oneof![3 => Just('5'), 1 => Just('6')], 1..14_usize, 0..8_usize).prop_flat_map(|(kind, expected, error)| {
        let parts = match error {
            0 => expected - 1,
            1 => expected + 1,
            _ => expected,
        };
        let namespace = prop::sample::select(&["", "/chat,"][..]);
        let content = prop_oneof![Just(r#"["a",1]"#.to_owned()), payload()];
        (namespace, any::<u8>(), content, vec(binary(), parts)).prop_map(move |(namespace, ack, content, parts)| {
            let text = Message::Text(format!("{kind}{expected}-{namespace}{ack}{content}"));
            [vec![text], parts].concat()
        })
    })
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    let some = prop_oneof![
        4 => text().prop_map(|text| vec![text]),
        1 => binary().prop_map(|part| vec![part]),
        3 => with_parts(),
    ];
    vec(some, 1..6).prop_map(|messages| messages.concat())
}

fn limits() -> impl Strategy<Value = Limits> {
    (prop_oneof![Just(0_usize), Just(1_000_usize), 1..200_usize], 0..12_usize, 0..70_usize)
}

#[test]
fn each_difference_has_examples_that_only_the_reference_accepts() {
    let limits = DecoderLimits::new(1_000, 10, 5);
    let old_limits = reference::DecoderLimits::new(1_000, 10, 5);
    for Difference { name, why, examples, .. } in DIFFERENCES {
        for example in *examples {
            assert_eq!(difference(example), Some(*name), "{example}");
            assert_eq!(Decoder::default().text(example, limits), Some(Inbound::Malformed), "{example}: {why}");
            let old = reference::Decoder::default().text((*example).into(), old_limits);
            assert_ne!(old, Some(Inbound::Malformed), "{example}");
        }
    }
}

proptest! {
    #[test]
    fn messages_decode_as_before(messages in messages(), limits in limits()) {
        compare(&messages, limits)?;
    }

    #[test]
    fn a_text_decodes_as_before(text in text(), limits in limits()) {
        compare(&[text], limits)?;
    }
}
