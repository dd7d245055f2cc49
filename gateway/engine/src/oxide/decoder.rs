//! Decodes Engine.IO messages into [`Inbound`] packets: the library parses the header, this module joins packets with
//! binary parts.
//!
//! Guarantees: an event that is longer than `limits.payload`, or has more binary parts than `limits.attachments`, is
//! refused on arrival; only its name is parsed, and the binary parts that follow it are skipped. Anything that makes
//! the rest of the stream undecodable is [`Inbound::Malformed`], after which the connection must end.

use bytes::Bytes;
use engineioxide_core::Str;
use parking_lot::Mutex;
use socketioxide_core::{
    Value,
    packet::{Packet, PacketData},
    parser::{Parse as _, ParseConfig, ParseError, ParserState},
};
use socketioxide_parser_common::CommonParser;

use crate::{Excess, Inbound, Parts, event_name};

/// The limit on a namespace's bytes is at least this.
const LONGEST_NAMESPACE: usize = 64;
/// A packet that announces more binary parts than this is malformed.
const MAX_ANNOUNCED: usize = 1_000;

/// Limits of one packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct DecoderLimits {
    /// Bytes of JSON and binary parts together; 0 for no limit.
    pub(super) payload: usize,
    /// Binary parts.
    pub(super) attachments: usize,
    /// Bytes of a namespace's name.
    pub(super) namespace: usize,
}

impl DecoderLimits {
    /// `longest` is the length of the longest configured namespace.
    pub(super) fn new(payload: usize, attachments: usize, longest: usize) -> Self {
        Self { payload, attachments, namespace: longest.max(LONGEST_NAMESPACE) }
    }

    fn is_too_large(self, bytes: usize) -> bool {
        self.payload > 0 && bytes > self.payload
    }
}

/// One connection's decoder.
#[derive(Default)]
pub(super) struct Decoder(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    BetweenPackets,
    /// An event whose binary parts are still coming.
    Partial(Box<Partial>),
    /// This many binary parts are still to be skipped.
    Skip(usize),
}

struct Partial {
    namespace: Str,
    content: Str,
    ack: Option<i64>,
    parts: Vec<Bytes>,
    bytes: usize,
    expected: usize,
}

impl Decoder {
    /// Decodes a text message. `None` if binary parts must follow, and for packets that the gateway ignores.
    pub(super) fn text(&self, text: Str, limits: DecoderLimits) -> Option<Inbound<Str>> {
        let mut state = self.0.lock();
        // An event's binary parts must follow it directly, with no text in between.
        if !matches!(*state, State::BetweenPackets) {
            return Some(Inbound::Malformed);
        }
        let header = ParserState::default();
        let any = ParseConfig { max_incoming_binaries: MAX_ANNOUNCED, ..ParseConfig::default() };
        let (packet, expected) = match CommonParser.decode_str(&any, &header, text) {
            Ok(packet) => (packet, 0),
            Err(ParseError::NeedsMoreBinaryData) => {
                let partial = header.partial_bin_packet.into_inner().ok().flatten();
                let Some(partial) = partial else { return Some(Inbound::Malformed) };
                (partial.packet, header.incoming_binary_cnt.into_inner())
            }
            Err(_) => return Some(Inbound::Malformed),
        };
        if packet.ns.len() > limits.namespace {
            return Some(Inbound::Malformed);
        }
        let (inbound, next) = begin(packet, expected, limits);
        *state = next;
        inbound
    }

    /// Decodes a binary message. `None` while further parts of an event are expected or skipped.
    pub(super) fn binary(&self, part: &Bytes, limits: DecoderLimits) -> Option<Inbound<Str>> {
        let mut state = self.0.lock();
        match std::mem::take(&mut *state) {
            State::BetweenPackets => Some(Inbound::Malformed),
            State::Skip(parts) => {
                *state = skip(parts - 1);
                None
            }
            State::Partial(mut partial) => {
                partial.bytes += part.len();
                // A copy, because the part is a slice of the transport's buffer.
                partial.parts.push(Bytes::copy_from_slice(part));
                let left = partial.expected - partial.parts.len();
                if limits.is_too_large(partial.bytes) {
                    *state = skip(left);
                    return Some(refused(partial.namespace, &partial.content, partial.ack, Excess::Bytes));
                }
                if left > 0 {
                    *state = State::Partial(partial);
                    return None;
                }
                let Partial { namespace, content, ack, parts, .. } = *partial;
                Some(Inbound::Event { namespace, content, ack, parts: Parts::new(parts) })
            }
        }
    }
}

/// Turns a packet's text into an inbound packet, if it is complete, and the state for the binary parts that follow.
fn begin(packet: Packet, expected: usize, limits: DecoderLimits) -> (Option<Inbound<Str>>, State) {
    let namespace = packet.ns;
    let whole = |inbound| (Some(inbound), State::BetweenPackets);
    match packet.inner {
        PacketData::Connect(auth) => match auth.map(text) {
            Some(Some(auth)) if !auth.as_str().starts_with('{') => whole(Inbound::Malformed),
            auth => whole(Inbound::Connect { namespace, auth: auth.flatten() }),
        },
        PacketData::Disconnect => whole(Inbound::Disconnect { namespace }),
        PacketData::Event(value, ack) | PacketData::BinaryEvent(value, ack) => {
            let Some(content) = text(value).filter(|content| content.as_str().starts_with('[')) else {
                return whole(Inbound::Malformed);
            };
            if limits.is_too_large(content.len()) {
                return (Some(refused(namespace, &content, ack, Excess::Bytes)), skip(expected));
            }
            if expected > limits.attachments {
                return (Some(refused(namespace, &content, ack, Excess::Parts)), skip(expected));
            }
            match expected {
                0 => whole(Inbound::Event { namespace, content, ack, parts: None }),
                _ => {
                    let bytes = content.len();
                    let parts = Vec::with_capacity(expected);
                    (None, State::Partial(Box::new(Partial { namespace, content, ack, parts, bytes, expected })))
                }
            }
        }
        // The gateway never asks for an acknowledgement, and only servers send errors.
        PacketData::EventAck(..) | PacketData::BinaryAck(..) | PacketData::ConnectError(_) => (None, skip(expected)),
    }
}

fn skip(parts: usize) -> State {
    if parts == 0 { State::BetweenPackets } else { State::Skip(parts) }
}

/// Keeps only the name of a refused event, for the answer.
fn refused(namespace: Str, content: &str, ack: Option<i64>, excess: Excess) -> Inbound<Str> {
    Inbound::Refused { namespace, event: event_name(content).into(), ack, excess }
}

fn text(value: Value) -> Option<Str> {
    match value {
        Value::Str(text, _) => Some(text),
        Value::Bytes(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Packet;

    fn limits() -> DecoderLimits {
        DecoderLimits::new(1_000, 10, 5)
    }

    fn owned(inbound: Option<Inbound<Str>>) -> Option<Packet> {
        inbound.map(|inbound| inbound.to_packet())
    }

    fn decode(text: &str) -> Option<Packet> {
        owned(Decoder::default().text(text.to_owned().into(), limits()))
    }

    #[test]
    fn packets_are_decoded() {
        assert_eq!(
            decode(r#"0/chat,{"token":"t"}"#),
            Some(Inbound::Connect { namespace: "/chat".into(), auth: Some(r#"{"token":"t"}"#.into()) })
        );
        assert_eq!(decode("0"), Some(Inbound::Connect { namespace: "/".into(), auth: None }));
        assert_eq!(decode("1/chat,"), Some(Inbound::Disconnect { namespace: "/chat".into() }));
        assert_eq!(
            decode(r#"2/chat,12["a",1]"#),
            Some(Inbound::Event {
                namespace: "/chat".into(),
                content: r#"["a",1]"#.into(),
                ack: Some(12),
                parts: None
            })
        );
    }

    #[test]
    fn invalid_packets_are_malformed() {
        let long = format!("0/{},", "n".repeat(64));
        for text in ["9what", "abc", "", "2{}", "2abc[\"a\"]", "2", "0[1]", "0\"x\"", "51-", "5[\"a\"]", &*long] {
            assert_eq!(decode(text), Some(Inbound::Malformed), "{text}");
        }
    }

    #[test]
    fn an_event_with_binary_parts_is_decoded_when_it_is_complete() {
        let decoder = Decoder::default();
        let header = r#"52-7["a",{"_placeholder":true,"num":0}]"#;
        assert_eq!(decoder.text(header.to_owned().into(), limits()), None);
        assert_eq!(decoder.binary(&Bytes::from_static(b"123"), limits()), None);
        let whole = decoder.binary(&Bytes::from_static(b"4"), limits());
        let parts = Parts::new(vec![Bytes::from_static(b"123"), Bytes::from_static(b"4")]);
        let content = header[4..].into();
        assert_eq!(owned(whole), Some(Inbound::Event { namespace: "/".into(), content, ack: Some(7), parts }));
        assert_eq!(decoder.binary(&Bytes::from_static(b"5"), limits()), Some(Inbound::Malformed));
    }

    #[test]
    fn an_event_above_a_limit_is_refused_and_its_parts_are_skipped() {
        let refused = |event: &str, ack, excess| {
            Some(Inbound::Refused { namespace: "/".into(), event: event.into(), ack, excess })
        };
        let decoder = Decoder::default();
        let text = |text: String| owned(decoder.text(text.into(), limits()));
        assert_eq!(text(format!(r#"2["big","{}"]"#, "x".repeat(1_000))), refused("big", None, Excess::Bytes));
        assert_eq!(text(r#"511-9["many"]"#.to_owned()), refused("many", Some(9), Excess::Parts));
        for _ in 0..11 {
            assert_eq!(decoder.binary(&Bytes::from_static(b"1"), limits()), None);
        }
        assert_eq!(text(r#"52-["heavy"]"#.to_owned()), None);
        let part = Bytes::from(vec![0; 1_000]);
        assert_eq!(owned(decoder.binary(&part, limits())), refused("heavy", None, Excess::Bytes));
        assert_eq!(decoder.binary(&part, limits()), None);
        assert!(matches!(text(r#"2["next"]"#.to_owned()), Some(Inbound::Event { .. })));
    }

    #[test]
    fn text_in_place_of_a_part_is_malformed() {
        let decoder = Decoder::default();
        assert_eq!(decoder.text(r#"51-["a"]"#.to_owned().into(), limits()), None);
        assert_eq!(decoder.text(r#"2["b"]"#.to_owned().into(), limits()), Some(Inbound::Malformed));
    }

    proptest! {
        #[test]
        fn anything_decodes_without_panic(
            messages in prop::collection::vec(
                prop_oneof![
                    "[0-6]?[0-9]{0,2}-?[/a-z,0-9\\-]{0,8}\\PC{0,40}".prop_map(Ok),
                    prop::collection::vec(any::<u8>(), 0..20).prop_map(Err),
                ],
                1..6,
            ),
        ) {
            let decoder = Decoder::default();
            for message in messages {
                let _ = match message {
                    Ok(text) => decoder.text(text.into(), limits()),
                    Err(bytes) => decoder.binary(&bytes.into(), limits()),
                };
            }
        }
    }
}
