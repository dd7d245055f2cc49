//! WebSocket frames of a client (RFC 6455), without extensions. Pure.

use std::ops::Range;

use anyhow::{Result, bail};

/// A text frame.
pub const TEXT: u8 = 1;
/// The server closes.
pub const CLOSE: u8 = 8;
/// The server asks for a pong.
pub const PING: u8 = 9;
/// The answer to a ping.
pub const PONG: u8 = 10;

/// A complete frame in a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// One of the constants above, or another.
    pub opcode: u8,
    /// The position of the payload.
    pub payload: Range<usize>,
}

impl Frame {
    /// The frame that starts at `from`; none if it is not complete. Fails if it is fragmented or masked: the measured
    /// servers send neither.
    pub fn parse(buffer: &[u8], from: usize) -> Result<Option<Self>> {
        let [first, second, rest @ ..] = &buffer[from..] else { return Ok(None) };
        if first & 0xf0 != 0x80 || first & 0x0f == 0 || second & 0x80 != 0 {
            bail!("a frame that is fragmented, compressed or masked ({first:#04x} {second:#04x})");
        }
        let (length, header) = match (second, rest) {
            (126, [a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 4),
            (127, [a, b, c, d, e, f, g, h, ..]) => (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 10),
            (126 | 127, _) => return Ok(None),
            (length, _) => (u64::from(*length), 2),
        };
        let start = from + header;
        let end = start.saturating_add(usize::try_from(length)?);
        Ok((end <= buffer.len()).then_some(Self { opcode: first & 0x0f, payload: start..end }))
    }
}

/// Makes masked frames, with another key for each.
pub struct Masker {
    state: u32,
}

impl Default for Masker {
    fn default() -> Self {
        Self { state: 0x9e37_79b9 }
    }
}

impl Masker {
    /// Appends a frame.
    pub fn append(&mut self, frame: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
        frame.push(0x80 | opcode);
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(length @ ..=125), _) => frame.push(0x80 | length),
            (_, Ok(length)) => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&length.to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
            }
        }
        let key = self.key();
        frame.extend_from_slice(&key);
        frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    }

    /// xorshift32: quality does not matter, only that servers unmask as they always do.
    fn key(&mut self) -> [u8; 4] {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        self.state.to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As a server would send it.
    fn unmasked(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut masked = Vec::new();
        Masker::default().append(&mut masked, opcode, payload);
        let header = masked.len() - payload.len() - 4;
        let mut frame = masked[..header].to_vec();
        frame[1] &= 0x7f;
        frame.extend_from_slice(payload);
        frame
    }

    proptest! {
        #[test]
        fn frames_of_any_length_are_parsed_when_they_are_complete(
            length in prop_oneof![0_usize..130, 65_530_usize..65_540],
            cut in 1_usize..100,
        ) {
            let payload = vec![b'a'; length];
            let mut buffer = vec![b'?'; 3];
            buffer.extend_from_slice(&unmasked(TEXT, &payload));
            let frame = Frame::parse(&buffer, 3).unwrap().unwrap();
            prop_assert_eq!(&buffer[frame.payload.clone()], &payload[..]);
            prop_assert_eq!(frame.payload.end, buffer.len());
            let cut = buffer.len() - cut.min(buffer.len() - 3);
            prop_assert_eq!(Frame::parse(&buffer[..cut], 3).unwrap(), None);
        }

        #[test]
        fn masking_can_be_undone(payload: Vec<u8>) {
            let mut frame = Vec::new();
            Masker::default().append(&mut frame, TEXT, &payload);
            let (header, masked) = frame.split_at(frame.len() - payload.len());
            let key = &header[header.len() - 4..];
            let back: Vec<u8> = masked.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            prop_assert_eq!(back, payload);
        }
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        for frame in [[0x01, 0x00], [0x80, 0x00], [0xc1, 0x00], [0x81, 0x80]] {
            assert!(Frame::parse(&frame, 0).is_err(), "{frame:?}");
        }
    }
}
