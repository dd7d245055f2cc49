//! The Socket.IO packets of a client.

use crate::{
    Inbound, Packet, Parts,
    packet::{Decoder, DecoderLimits},
};

/// Limits on an event's bytes and parts.
const BYTES: usize = 200;
const PARTS: usize = 3;
/// Ends a message.
const END: u8 = 0xff;
/// Begins a binary message. Like [`END`] no part of UTF-8.
const BINARY: u8 = 0xfe;

/// Messages, each ended by [`END`]. Events and acknowledgements are within their limits, and the same
/// after they were written and read again.
pub fn packets(data: &[u8]) {
    let limits = DecoderLimits::new(BYTES, PARTS, 10);
    let mut decoder = Decoder::default();
    for message in data.split(|byte| *byte == END) {
        let packet = match message.split_first() {
            Some((&BINARY, part)) => decoder.binary(part, limits),
            _ => {
                let Ok(text) = std::str::from_utf8(message) else { continue };
                decoder.text(text, limits).map(|inbound| inbound.to_packet())
            }
        };
        match &packet {
            None => {}
            // The connection ends.
            Some(Inbound::Malformed) => return,
            Some(Inbound::Refused { event, .. }) => assert!(event.chars().count() <= 64),
            Some(Inbound::Connect { auth, .. }) => assert!(auth.as_ref().is_none_or(|auth| auth.starts_with('{'))),
            Some(Inbound::Disconnect { namespace }) => assert!(namespace.starts_with('/')),
            Some(Inbound::Event { content, parts, .. } | Inbound::Ack { content, parts, .. }) => {
                assert!(content.starts_with('[') && parts.as_ref().map_or(0, Parts::count) <= PARTS);
                assert!(content.len() + parts.as_ref().map_or(0, Parts::bytes) <= BYTES);
                same_again(packet.as_ref(), limits);
            }
        }
    }
}

fn same_again(packet: Option<&Packet>, limits: DecoderLimits) {
    let (namespace, content, id, parts, kinds) = match packet {
        Some(Inbound::Event { namespace, content, ack, parts }) => (namespace, content, *ack, parts, ["2", "5"]),
        Some(Inbound::Ack { namespace, id, content, parts }) => (namespace, content, Some(*id), parts, ["3", "6"]),
        _ => return,
    };
    let [plain, binary] = kinds;
    let mut text = parts.as_ref().map_or(plain.to_owned(), |parts| format!("{binary}{}-", parts.count()));
    if &**namespace != "/" {
        text += &format!("{namespace},");
    }
    text += &format!("{}{content}", id.map_or(String::new(), |id| id.to_string()));
    let mut decoder = Decoder::default();
    let mut again = decoder.text(&text, limits).map(|inbound| inbound.to_packet());
    for part in parts.iter().flat_map(Parts::all) {
        assert_eq!(again, None);
        again = decoder.binary(part, limits);
    }
    assert_eq!(again.as_ref(), packet);
}
