//! The binary parts of a packet, which follow its text.

use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// First byte, on the bus, of a text with binary parts. No UTF-8 text begins with it.
const WITH_PARTS: u8 = 0xff;

/// At least one part, in the order of the placeholders' numbers. Cloning shares the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts(Arc<[Bytes]>);

impl Parts {
    /// `None` if `parts` is empty.
    #[must_use]
    pub fn new(parts: Vec<Bytes>) -> Option<Self> {
        (!parts.is_empty()).then(|| Self(parts.into()))
    }

    /// One part.
    #[must_use]
    pub fn one(part: Bytes) -> Self {
        Self(Arc::new([part]))
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Bytes] {
        &self.0
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Their bytes together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// The placeholder that refers to the part `number` in JSON.
    #[must_use]
    pub fn placeholder(number: usize) -> String {
        format!("{{\"_placeholder\":true,\"num\":{number}}}")
    }

    /// Encodes a text and its parts for the bus: the bare text if there are no parts, else [`WITH_PARTS`], then the
    /// text and the parts, each after its length (4 bytes, big-endian).
    #[must_use]
    pub fn encode(text: Bytes, parts: Option<&Self>) -> Bytes {
        let Some(parts) = parts else { return text };
        let pieces = || std::iter::once(&text).chain(parts.0.iter());
        let mut encoded = BytesMut::with_capacity(1 + pieces().map(|piece| 4 + piece.len()).sum::<usize>());
        encoded.put_u8(WITH_PARTS);
        for piece in pieces() {
            encoded.put_u32(piece.len() as u32);
            encoded.put_slice(piece);
        }
        encoded.freeze()
    }

    /// The reverse of [`Parts::encode`]; `None` if the bytes are malformed, or the text is not UTF-8.
    #[must_use]
    pub fn decode(mut encoded: Bytes) -> Option<(Bytes, Option<Self>)> {
        if encoded.first() != Some(&WITH_PARTS) {
            std::str::from_utf8(&encoded).ok()?;
            return Some((encoded, None));
        }
        encoded.advance(1);
        let mut pieces = Vec::new();
        while !encoded.is_empty() {
            let length = encoded.try_get_u32().ok()? as usize;
            pieces.push((length <= encoded.len()).then(|| encoded.split_to(length))?);
        }
        let text = (!pieces.is_empty()).then(|| pieces.remove(0))?;
        std::str::from_utf8(&text).ok()?;
        Some((text, Self::new(pieces)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_and_its_parts_survive_the_bus(text: String, parts in prop::collection::vec(any::<Vec<u8>>(), 0..4)) {
            let parts = Parts::new(parts.into_iter().map(Bytes::from).collect());
            let text = Bytes::from(text);
            prop_assert_eq!(Parts::decode(Parts::encode(text.clone(), parts.as_ref())), Some((text, parts)));
        }

        #[test]
        fn any_bytes_decode_without_panic(bytes: Vec<u8>) {
            let _ = Parts::decode([vec![WITH_PARTS], bytes].concat().into());
        }
    }
}
