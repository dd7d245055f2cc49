//! The decoder over socketioxide's parser that this project used before its own, as the reference of the differential
//! tests. It is unchanged, except that `&mut self` replaces the lock.

use bytes::Bytes;
use engineioxide_core::Str;
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
pub(super) struct Decoder(State);

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
    pub(super) fn text(&mut self, text: Str, limits: DecoderLimits) -> Option<Inbound<Str>> {
        let state = &mut self.0;
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
    pub(super) fn binary(&mut self, part: &Bytes, limits: DecoderLimits) -> Option<Inbound<Str>> {
        let state = &mut self.0;
        match std::mem::take(state) {
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
