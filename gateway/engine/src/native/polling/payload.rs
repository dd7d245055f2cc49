//! The payloads of polls and POSTs: packets with a separator between them, binary parts in base64. Pure.

use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose},
};

use crate::Frame;

/// Separates two packets.
const SEPARATOR: u8 = 0x1e;
/// First byte of a packet that is a binary part.
const BINARY: u8 = b'b';

/// Clients write base64 with and without padding, in both alphabets.
const ANY_PADDING: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&STANDARD, ANY_PADDING);
const FOR_URLS: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, ANY_PADDING);

/// A packet of a POST.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// Its type, then its text.
    Text(&'a str),
    Binary(Vec<u8>),
}

/// The packets of a POST; `None` in place of one that is not valid.
pub(crate) fn decode(body: &[u8]) -> impl Iterator<Item = Option<Packet<'_>>> {
    body.split(|byte| *byte == SEPARATOR).map(|packet| match packet.split_first() {
        Some((&BINARY, base64)) => Some(Packet::Binary(decode_base64(base64)?)),
        _ => Some(Packet::Text(std::str::from_utf8(packet).ok()?)),
    })
}

fn decode_base64(base64: &[u8]) -> Option<Vec<u8>> {
    // Some clients break lines.
    let base64: Vec<u8> = base64.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    PLAIN.decode(&base64).or_else(|_| FOR_URLS.decode(&base64)).ok()
}

/// Appends a frame's packets to a payload.
pub(crate) fn append(payload: &mut Vec<u8>, frame: &Frame) {
    if !frame.packet().is_empty() {
        separate(payload);
        payload.extend_from_slice(frame.packet());
    }
    for part in frame.parts().iter().flat_map(|parts| parts.all()) {
        separate(payload);
        payload.push(BINARY);
        payload.extend_from_slice(general_purpose::STANDARD.encode(part).as_bytes());
    }
}

/// Appends a packet without data.
pub(super) fn append_type(payload: &mut Vec<u8>, packet: u8) {
    separate(payload);
    payload.push(packet);
}

fn separate(payload: &mut Vec<u8>) {
    if !payload.is_empty() {
        payload.push(SEPARATOR);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;
    use crate::Parts;

    proptest! {
        #[test]
        fn every_variant_of_base64_is_read(part: Vec<u8>) {
            for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
                for end in ["", "\n", "\r\n"] {
                    let sent = format!("451-[\"b\",1]\u{1e}b{}{end}\u{1e}3", engine.encode(&part));
                    let read: Vec<_> = decode(sent.as_bytes()).collect();
                    let text = Some(Packet::Text("451-[\"b\",1]"));
                    prop_assert_eq!(read, [text, Some(Packet::Binary(part.clone())), Some(Packet::Text("3"))]);
                }
            }
        }

        #[test]
        fn what_is_encoded_is_read(
            frames in prop::collection::vec(("[^\u{1e}]{0,20}", prop::collection::vec(any::<Vec<u8>>(), 0..3)), 1..6),
        ) {
            let (mut payload, mut expected) = (Vec::new(), Vec::new());
            for (text, parts) in frames {
                let parts = Parts::new(parts.into_iter().map(Bytes::from).collect());
                let frame = Frame::event_with("/", &text, parts.as_ref());
                append(&mut payload, &frame);
                expected.push(String::from_utf8(frame.packet().to_vec()).unwrap().into_bytes());
                expected.extend(parts.iter().flat_map(|parts| parts.all()).map(|part| part.to_vec()));
            }
            let read = decode(&payload).map(|packet| match packet.unwrap() {
                Packet::Text(text) => text.as_bytes().to_vec(),
                Packet::Binary(part) => part,
            });
            prop_assert_eq!(read.collect::<Vec<_>>(), expected);
        }

        #[test]
        fn anything_is_read_without_panic(body: Vec<u8>) {
            decode(&body).for_each(drop);
        }
    }
}
