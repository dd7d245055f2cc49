//! Counts the message bytes in the library's writes to a WebSocket. Pure.
//!
//! The library also writes pings, pongs and close frames; these must not count as messages, or a client could make its
//! queue seem shorter than it is. Counts the same bytes as [`super::OxideOutbox`]: a text without the `4` of Engine.IO,
//! a binary part in full.

/// The state between two writes, which may split a frame anywhere.
#[derive(Debug, Default)]
pub(super) struct SentFrames {
    header: [u8; 10],
    /// Bytes of the header written so far.
    have: u8,
    /// Bytes of the payload not written yet.
    left: u64,
    kind: Kind,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A text whose first byte, which shows whether it is a message, has not been written yet.
    Text,
    Counted,
    #[default]
    Other,
}

const TEXT: u8 = 1;
const BINARY: u8 = 2;
/// First byte of an Engine.IO message.
const MESSAGE: u8 = b'4';

impl SentFrames {
    /// These bytes were written. Returns how many of them belong to messages.
    pub(super) fn wrote(&mut self, mut bytes: &[u8]) -> u64 {
        let mut counted = 0;
        while !bytes.is_empty() {
            if self.left == 0 {
                bytes = self.read_header(bytes);
                continue;
            }
            if self.kind == Kind::Text {
                self.kind = if bytes[0] == MESSAGE { Kind::Counted } else { Kind::Other };
                bytes = &bytes[1..];
                self.left -= 1;
                continue;
            }
            let here = self.left.min(bytes.len() as u64);
            if self.kind == Kind::Counted {
                counted += here;
            }
            self.left -= here;
            bytes = &bytes[here as usize..];
        }
        counted
    }

    /// Takes the bytes of a frame's header, and returns the rest.
    fn read_header<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let missing = self.header_length() - usize::from(self.have);
        let here = missing.min(bytes.len());
        let have = usize::from(self.have);
        self.header[have..have + here].copy_from_slice(&bytes[..here]);
        self.have += here as u8;
        // The second byte says how long the header is.
        if usize::from(self.have) == self.header_length() && self.have >= 2 {
            self.left = self.payload_length();
            self.kind = match self.header[0] & 0x0f {
                TEXT => Kind::Text,
                BINARY => Kind::Counted,
                _ => Kind::Other,
            };
            self.have = 0;
        }
        &bytes[here..]
    }

    /// A server's frames are not masked.
    fn header_length(&self) -> usize {
        match self.have {
            0 | 1 => 2,
            _ => match self.header[1] & 0x7f {
                126 => 4,
                127 => 10,
                _ => 2,
            },
        }
    }

    fn payload_length(&self) -> u64 {
        match self.header[1] & 0x7f {
            126 => u64::from(u16::from_be_bytes([self.header[2], self.header[3]])),
            127 => self.header[2..10].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
            short => u64::from(short),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A frame as tungstenite writes it, and how much of it counts.
    fn frame(kind: u8, length: usize) -> (Vec<u8>, u64) {
        let (opcode, first, counted) = match kind {
            0 => (TEXT, b'4', length.saturating_sub(1)),
            1 => (TEXT, b'2', 0),
            2 => (BINARY, 7, length),
            _ => (10, 9, 0),
        };
        let mut bytes = vec![0x80 | opcode];
        match length {
            0..126 => bytes.push(length as u8),
            126..65_536 => {
                bytes.push(126);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        let mut payload = vec![0x81; length];
        if let Some(byte) = payload.first_mut() {
            *byte = first;
        }
        bytes.extend(payload);
        (bytes, counted as u64)
    }

    proptest! {
        #[test]
        fn messages_are_counted_however_the_writes_are_split(
            frames in prop::collection::vec((0u8..4, prop_oneof![0usize..300, 65_500usize..65_600]), 0..12),
            cuts in prop::collection::vec(1usize..400, 1..40),
        ) {
            let (mut bytes, mut expected) = (Vec::new(), 0);
            for (kind, length) in frames {
                let (frame, counted) = frame(kind, length);
                bytes.extend(frame);
                expected += counted;
            }
            let (mut sent, mut counted, mut rest) = (SentFrames::default(), 0, &bytes[..]);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (here, after) = rest.split_at(rest.len().min(*cut));
                counted += sent.wrote(here);
                rest = after;
            }
            prop_assert_eq!(counted, expected);
        }
    }
}
