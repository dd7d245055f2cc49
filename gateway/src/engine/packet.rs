//! What a client sent, decoded. The bytes are strangers': nothing here may panic, and what is held back is bounded.

use bytes::Bytes;
use engineioxide_core::Str;
use socketioxide_core::{
    Value,
    packet::{Packet, PacketData},
    parser::{Parse as _, ParseConfig, ParseError, ParserState},
};
use socketioxide_parser_common::CommonParser;

use super::{Inbound, Text};

/// Binary parts of one event, and how large together. They are taken and passed over: no event of ours has any.
const MAX_ATTACHMENTS: usize = 10;

/// What of an event has arrived, between its text and its binary parts.
#[derive(Default)]
pub(super) struct Decoder {
    state: ParserState,
}

impl Decoder {
    /// A text message. Nothing while binary parts are still to come, and for packets that mean nothing to us.
    pub(super) fn text(&self, text: Str, max_bytes: usize) -> Option<Inbound> {
        inbound(CommonParser.decode_str(&config(max_bytes), &self.state, text))
    }

    /// A binary part.
    pub(super) fn binary(&self, bytes: Bytes, max_bytes: usize) -> Option<Inbound> {
        inbound(CommonParser.decode_bin(&config(max_bytes), &self.state, bytes))
    }
}

fn config(max_bytes: usize) -> ParseConfig {
    ParseConfig {
        max_incoming_binaries: MAX_ATTACHMENTS,
        max_incoming_binary_buf_size: max_bytes,
        ..ParseConfig::default()
    }
}

fn inbound(packet: Result<Packet, ParseError>) -> Option<Inbound> {
    let packet = match packet {
        Ok(packet) => packet,
        Err(ParseError::NeedsMoreBinaryData) => return None,
        Err(_) => return Some(Inbound::Malformed),
    };
    let namespace = packet.ns.as_str().into();
    Some(match packet.inner {
        PacketData::Connect(auth) => Inbound::Connect { namespace, auth: auth.and_then(text) },
        PacketData::Disconnect => Inbound::Disconnect { namespace },
        PacketData::Event(value, ack) | PacketData::BinaryEvent(value, ack) => match text(value) {
            Some(content) => Inbound::Event { namespace, content, ack },
            None => Inbound::Malformed,
        },
        // We never ask for an acknowledgement, and errors are the server's to send.
        PacketData::EventAck(..) | PacketData::BinaryAck(..) | PacketData::ConnectError(_) => return None,
    })
}

fn text(value: Value) -> Option<Text> {
    match value {
        Value::Str(text, _) => Some(Text(text)),
        Value::Bytes(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(text: &str) -> Option<Inbound> {
        Decoder::default().text(text.to_owned().into(), 1_000)
    }

    #[test]
    fn packets_become_inbound() {
        assert_eq!(
            decode(r#"0/chat,{"token":"t"}"#),
            Some(Inbound::Connect { namespace: "/chat".into(), auth: Some(Text::from(r#"{"token":"t"}"#.to_owned())) })
        );
        assert_eq!(decode("0"), Some(Inbound::Connect { namespace: "/".into(), auth: None }));
        assert_eq!(decode("1/chat,"), Some(Inbound::Disconnect { namespace: "/chat".into() }));
        assert_eq!(
            decode(r#"2/chat,12["a",1]"#),
            Some(Inbound::Event {
                namespace: "/chat".into(),
                content: Text::from(r#"["a",1]"#.to_owned()),
                ack: Some(12)
            })
        );
        assert_eq!(decode("9what"), Some(Inbound::Malformed));
    }

    #[test]
    fn an_event_with_binary_parts_comes_when_it_is_whole() {
        let decoder = Decoder::default();
        assert_eq!(decoder.text(r#"51-["a",{"_placeholder":true,"num":0}]"#.to_owned().into(), 10), None);
        let whole = decoder.binary(Bytes::from_static(b"123"), 10);
        assert!(matches!(whole, Some(Inbound::Event { .. })), "{whole:?}");
    }

    proptest! {
        #[test]
        fn any_text_decodes_without_panic(text in "[0-6]?[/a-z,0-9\\-]{0,8}\\PC{0,40}", bytes: Vec<u8>) {
            let decoder = Decoder::default();
            let _ = decoder.text(text.into(), 100);
            let _ = decoder.binary(bytes.into(), 100);
        }
    }
}
