//! Decodes Socket.IO v5 packets: parses the header of a text message and joins it with the binary parts that follow.
//!
//! Guarantees: an event that is longer than `limits.payload`, or has more binary parts than `limits.attachments`, is
//! refused on arrival; only its name is parsed, and the binary parts that follow it are skipped. An acknowledgement that
//! exceeds these limits is dropped. Anything that makes
//! the rest of the stream undecodable is [`Inbound::Malformed`], after which the connection must end. A packet without
//! binary parts is borrowed from its message. Only the first byte of JSON is checked; the packet's handler parses it.

use bytes::Bytes;

use crate::{EngineLimits, Excess, Inbound, Messages, Packet, Parts, event_name};

/// The limit on a namespace's bytes is at least this.
const LONGEST_NAMESPACE: usize = 64;
/// A packet that announces more binary parts than this is malformed.
const MAX_ANNOUNCED: usize = 1_000;

/// Limits of one packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DecoderLimits {
    /// Bytes of JSON and binary parts together; 0 for no limit.
    payload: usize,
    /// Binary parts.
    attachments: usize,
    /// Bytes of a namespace's name.
    namespace: usize,
    messages: Messages,
}

impl DecoderLimits {
    pub(crate) fn of(limits: &EngineLimits) -> Self {
        let EngineLimits { payload, attachments, longest_namespace, messages, .. } = *limits;
        Self { messages, ..Self::new(payload, attachments, longest_namespace) }
    }

    /// `longest` is the length of the longest configured namespace.
    pub(crate) fn new(payload: usize, attachments: usize, longest: usize) -> Self {
        Self { payload, attachments, namespace: longest.max(LONGEST_NAMESPACE), messages: Messages::Packets }
    }

    fn is_too_large(self, bytes: usize) -> bool {
        self.payload > 0 && bytes > self.payload
    }
}

/// One connection's decoder: the state between two messages.
#[derive(Default)]
pub(crate) struct Decoder(State);

#[derive(Default)]
enum State {
    #[default]
    BetweenPackets,
    /// An event or an acknowledgement whose binary parts are still coming. Boxed, because every idle connection has a decoder.
    Partial(Box<Partial>),
    /// This many binary parts are still to be skipped.
    Skip(usize),
}

struct Partial {
    namespace: Box<str>,
    content: Box<str>,
    /// The id, of which an acknowledgement has one.
    ack: Option<i64>,
    is_ack: bool,
    parts: Vec<Bytes>,
    bytes: usize,
    expected: usize,
}

impl Decoder {
    /// Decodes a text message. `None` if binary parts must follow, and for an acknowledgement that exceeds a limit.
    pub(crate) fn text<'a>(&mut self, text: &'a str, limits: DecoderLimits) -> Option<Inbound<&'a str>> {
        if limits.messages == Messages::Raw {
            return Some(Inbound::Event { namespace: "", content: text, ack: None, parts: None });
        }
        // An event's binary parts must follow it directly, with no text in between.
        if !matches!(self.0, State::BetweenPackets) {
            return Some(Inbound::Malformed);
        }
        let Some(fields) = Fields::parse(text).filter(|fields| fields.namespace.len() <= limits.namespace) else {
            return Some(Inbound::Malformed);
        };
        let Fields { namespace, content, .. } = fields;
        match (fields.kind, content.as_bytes().first()) {
            ('0', None) => Some(Inbound::Connect { namespace, auth: None }),
            ('0', Some(b'{')) => Some(Inbound::Connect { namespace, auth: Some(content) }),
            ('1', None) => Some(Inbound::Disconnect { namespace }),
            ('2' | '5', Some(b'[')) => self.event(&fields, limits),
            ('3' | '6', Some(b'[')) if fields.ack.is_some() => self.ack(&fields, limits),
            // Including 4, CONNECT_ERROR: only servers send it.
            _ => Some(Inbound::Malformed),
        }
    }

    /// Decodes a binary message. `None` while further parts of an event are expected or skipped.
    pub(crate) fn binary(&mut self, part: &[u8], limits: DecoderLimits) -> Option<Packet> {
        match std::mem::take(&mut self.0) {
            State::BetweenPackets if limits.messages == Messages::Raw => {
                let parts = Some(Parts::one(Bytes::copy_from_slice(part)));
                Some(Inbound::Event { namespace: "".into(), content: "".into(), ack: None, parts })
            }
            State::BetweenPackets => Some(Inbound::Malformed),
            State::Skip(parts) => {
                self.0 = skip(parts - 1);
                None
            }
            State::Partial(mut partial) => {
                partial.bytes += part.len();
                // A copy, because the part is a slice of the transport's buffer.
                partial.parts.push(Bytes::copy_from_slice(part));
                let left = partial.expected - partial.parts.len();
                let is_too_large = limits.is_too_large(partial.bytes);
                if left > 0 && !is_too_large {
                    self.0 = State::Partial(partial);
                    return None;
                }
                self.0 = skip(left);
                let Partial { namespace, content, ack, is_ack, parts, .. } = *partial;
                let parts = Parts::new(parts);
                match (is_ack, ack) {
                    (false, _) if is_too_large => Some(refused(namespace, &content, ack, Excess::Bytes)),
                    (false, _) => Some(Inbound::Event { namespace, content, ack, parts }),
                    (true, Some(id)) if !is_too_large => Some(Inbound::Ack { namespace, id, content, parts }),
                    (true, _) => None,
                }
            }
        }
    }

    fn event<'a>(&mut self, fields: &Fields<'a>, limits: DecoderLimits) -> Option<Inbound<&'a str>> {
        let Fields { namespace, content, ack, expected, .. } = *fields;
        let is_too_large = limits.is_too_large(content.len());
        if is_too_large || expected > limits.attachments {
            self.0 = skip(expected);
            let excess = if is_too_large { Excess::Bytes } else { Excess::Parts };
            return Some(refused(namespace, content, ack, excess));
        }
        if expected == 0 {
            return Some(Inbound::Event { namespace, content, ack, parts: None });
        }
        self.0 = partial(fields, false);
        None
    }

    fn ack<'a>(&mut self, fields: &Fields<'a>, limits: DecoderLimits) -> Option<Inbound<&'a str>> {
        let Fields { namespace, content, ack, expected, .. } = *fields;
        if limits.is_too_large(content.len()) || expected > limits.attachments {
            self.0 = skip(expected);
            return None;
        }
        if expected == 0 {
            return Some(Inbound::Ack { namespace, id: ack?, content, parts: None });
        }
        self.0 = partial(fields, true);
        None
    }
}

/// A text message: `<kind>[<number of binary parts>-][<namespace>,][<ack>][<content>]`. Only the kinds 5 and 6 announce
/// binary parts.
struct Fields<'a> {
    kind: char,
    /// Binary parts that follow.
    expected: usize,
    namespace: &'a str,
    ack: Option<i64>,
    content: &'a str,
}

impl<'a> Fields<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut chars = text.chars();
        let kind = chars.next()?;
        let rest = chars.as_str();
        let (expected, rest) = if matches!(kind, '5' | '6') { parse_expected(rest)? } else { (0, rest) };
        let (namespace, rest) = split_namespace(rest);
        let (ack, content) = split_digits(rest);
        // An id that does not fit counts as none.
        Some(Self { kind, expected, namespace, ack: ack.parse().ok(), content })
    }
}

/// Parses the number of binary parts, and returns what follows it.
fn parse_expected(text: &str) -> Option<(usize, &str)> {
    let (count, rest) = split_digits(text);
    let count = count.parse().ok().filter(|count| *count <= MAX_ANNOUNCED)?;
    Some((count, rest.strip_prefix('-')?))
}

/// Returns the namespace, `/` if it is left out, and what follows it. The comma is optional at the end of the packet.
fn split_namespace(text: &str) -> (&str, &str) {
    if text.starts_with('/') { text.split_once(',').unwrap_or((text, "")) } else { ("/", text) }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

fn partial(Fields { namespace, content, ack, expected, .. }: &Fields<'_>, is_ack: bool) -> State {
    let parts = Vec::with_capacity(*expected);
    let (namespace, bytes, content) = ((*namespace).into(), content.len(), (*content).into());
    State::Partial(Box::new(Partial { namespace, content, ack: *ack, is_ack, parts, bytes, expected: *expected }))
}

fn skip(parts: usize) -> State {
    if parts == 0 { State::BetweenPackets } else { State::Skip(parts) }
}

/// Keeps only the name of a refused event, for the answer.
fn refused<S>(namespace: S, content: &str, ack: Option<i64>, excess: Excess) -> Inbound<S> {
    Inbound::Refused { namespace, event: event_name(content).into(), ack, excess }
}

#[cfg(test)]
mod differential;
#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits() -> DecoderLimits {
        DecoderLimits::new(1_000, 10, 5)
    }

    fn owned(inbound: Option<Inbound<&str>>) -> Option<Packet> {
        inbound.map(|inbound| inbound.to_packet())
    }

    fn text(decoder: &mut Decoder, text: &str) -> Option<Packet> {
        owned(decoder.text(text, limits()))
    }

    fn decode(text: &str) -> Option<Packet> {
        owned(Decoder::default().text(text, limits()))
    }

    #[test]
    fn an_idle_decoder_is_small() {
        assert!(size_of::<Decoder>() <= 16);
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
    fn acknowledgements_are_decoded() {
        let ack = |namespace: &str, id, content: &str, parts: &[&'static [u8]]| {
            let parts = Parts::new(parts.iter().map(|part| Bytes::from_static(part)).collect());
            Some(Inbound::Ack { namespace: namespace.into(), id, content: content.into(), parts })
        };
        assert_eq!(decode("3/chat,12[1]"), ack("/chat", 12, "[1]", &[]));
        assert_eq!(decode("60-7[]"), ack("/", 7, "[]", &[]));
        let mut decoder = Decoder::default();
        assert_eq!(text(&mut decoder, "62-7[1]"), None);
        assert_eq!(decoder.binary(b"a", limits()), None);
        assert_eq!(decoder.binary(b"b", limits()), ack("/", 7, "[1]", &[b"a", b"b"]));
        for missing in ["3[1]", "31", "61-[1]", "399999999999999999999[1]"] {
            assert_eq!(decode(missing), Some(Inbound::Malformed), "{missing}");
        }
    }

    #[test]
    fn an_acknowledgement_above_a_limit_is_dropped_with_its_parts() {
        let mut decoder = Decoder::default();
        assert_eq!(text(&mut decoder, &format!("31[\"{}\"]", "x".repeat(1_000))), None);
        assert_eq!(text(&mut decoder, "611-1[1]"), None);
        for _ in 0..11 {
            assert_eq!(decoder.binary(b"1", limits()), None);
        }
        assert_eq!(text(&mut decoder, "62-1[1]"), None);
        assert_eq!(decoder.binary(&[0; 1_000], limits()), None);
        assert_eq!(decoder.binary(b"1", limits()), None);
        assert!(matches!(text(&mut decoder, r#"2["next"]"#), Some(Inbound::Event { .. })));
    }

    #[test]
    fn invalid_packets_are_malformed() {
        let long = format!("0/{},", "n".repeat(64));
        for text in
            ["9what", "abc", "", "2{}", "2abc[\"a\"]", "2", "0[1]", "0\"x\"", "51-", "5[\"a\"]", "1{}", "31{}", &*long]
        {
            assert_eq!(decode(text), Some(Inbound::Malformed), "{text}");
        }
    }

    #[test]
    fn an_event_with_binary_parts_is_decoded_when_it_is_complete() {
        let mut decoder = Decoder::default();
        let header = r#"52-7["a",{"_placeholder":true,"num":0}]"#;
        assert_eq!(decoder.text(header, limits()), None);
        assert_eq!(decoder.binary(b"123", limits()), None);
        let whole = decoder.binary(b"4", limits());
        let parts = Parts::new(vec![Bytes::from_static(b"123"), Bytes::from_static(b"4")]);
        let content = header[4..].into();
        assert_eq!(whole, Some(Inbound::Event { namespace: "/".into(), content, ack: Some(7), parts }));
        assert_eq!(decoder.binary(b"5", limits()), Some(Inbound::Malformed));
    }

    #[test]
    fn an_event_above_a_limit_is_refused_and_its_parts_are_skipped() {
        let refused = |event: &str, ack, excess| {
            Some(Inbound::Refused { namespace: "/".into(), event: event.into(), ack, excess })
        };
        let mut decoder = Decoder::default();
        assert_eq!(
            text(&mut decoder, &format!(r#"2["big","{}"]"#, "x".repeat(1_000))),
            refused("big", None, Excess::Bytes)
        );
        assert_eq!(text(&mut decoder, r#"511-9["many"]"#), refused("many", Some(9), Excess::Parts));
        for _ in 0..11 {
            assert_eq!(decoder.binary(b"1", limits()), None);
        }
        assert_eq!(text(&mut decoder, r#"52-["heavy"]"#), None);
        let part = [0; 1_000];
        assert_eq!(decoder.binary(&part, limits()), refused("heavy", None, Excess::Bytes));
        assert_eq!(decoder.binary(&part, limits()), None);
        assert!(matches!(text(&mut decoder, r#"2["next"]"#), Some(Inbound::Event { .. })));
    }

    #[test]
    fn text_in_place_of_a_part_is_malformed() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.text(r#"51-["a"]"#, limits()), None);
        assert_eq!(decoder.text(r#"2["b"]"#, limits()), Some(Inbound::Malformed));
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
            let mut decoder = Decoder::default();
            for message in messages {
                let _ = match message {
                    Ok(text) => owned(decoder.text(&text, limits())),
                    Err(bytes) => decoder.binary(&bytes, limits()),
                };
            }
        }
    }
}
