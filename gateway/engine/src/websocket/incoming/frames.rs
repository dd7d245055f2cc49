//! Frame headers and masks of a client's frames (RFC 6455, section 5.2). Pure.
//!
//! Guarantees: a header that breaks a rule is refused as soon as the bytes that show it have arrived; bytes of an
//! incomplete header need no allocation. This module deliberately does not know messages: it checks neither the order
//! of frames nor the length of a data frame.
//!
//! Tungstenite's `FrameHeader::parse` reads the same headers. It is not used here because it reads through a cursor,
//! logs each header, and accepts lengths that are not in their shortest form. A test compares the two.

use std::mem;

use super::Violation;

/// Bytes of the longest header: two bytes, a length of 64 bits, and the mask.
const LONGEST: usize = 14;
/// The most bytes in the payload of a control frame.
const LONGEST_CONTROL: u8 = 125;
/// In place of a length: 16 bits with the length follow.
const LENGTH_16: u8 = 126;
/// In place of a length: 64 bits with the length follow.
const LENGTH_64: u8 = 127;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn of(code: u8) -> Result<Self, Violation> {
        Ok(match code {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return Err(Violation::Protocol),
        })
    }

    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A frame whose header has arrived.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) opcode: Opcode,
    /// The last frame of its message.
    pub(super) is_final: bool,
    /// Bytes of the payload that have not been unmasked yet.
    pub(super) left: usize,
    /// The mask, rotated so that it begins with the byte for the next byte of the payload.
    mask: [u8; 4],
}

impl Frame {
    /// Unmasks the next bytes of the payload. There must be no more than are [left](Self::left).
    pub(super) fn unmask(&mut self, payload: &mut [u8]) {
        let [a, b, c, d] = self.mask;
        let mask = [a, b, c, d, a, b, c, d];
        let word_mask = u64::from_ne_bytes(mask);
        let (words, rest) = payload.as_chunks_mut::<8>();
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ word_mask).to_ne_bytes();
        }
        for (byte, mask) in rest.iter_mut().zip(mask) {
            *byte ^= mask;
        }
        self.mask.rotate_left(payload.len() % 4);
        self.left -= payload.len();
    }
}

/// The bytes of a header that is not complete.
#[derive(Debug, Default)]
pub(super) struct PartialHeader {
    bytes: [u8; LONGEST],
    have: u8,
}

impl PartialHeader {
    pub(super) fn is_empty(&self) -> bool {
        self.have == 0
    }

    /// Takes a header from the front of `bytes`, after the bytes of it that are held already. If it is not complete,
    /// holds what there is and returns `None`; then `bytes` is empty.
    pub(super) fn take(&mut self, bytes: &mut &mut [u8]) -> Result<Option<Frame>, Violation> {
        if self.is_empty()
            && let Some((frame, length)) = parse(bytes)?
        {
            *bytes = &mut mem::take(bytes)[length..];
            return Ok(Some(frame));
        }
        let have = usize::from(self.have);
        let added = bytes.len().min(LONGEST - have);
        self.bytes[have..have + added].copy_from_slice(&bytes[..added]);
        let parsed = parse(&self.bytes[..have + added])?;
        let used = match &parsed {
            // The held bytes alone were no whole header.
            Some((_, length)) => length - have,
            None => added,
        };
        self.have = if parsed.is_some() { 0 } else { (have + added) as u8 };
        *bytes = &mut mem::take(bytes)[used..];
        Ok(parsed.map(|(frame, _)| frame))
    }
}

/// Reads the header at the front of `bytes`, and returns its length in bytes too. `None`: it is not complete.
fn parse(bytes: &[u8]) -> Result<Option<(Frame, usize)>, Violation> {
    let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
    let is_final = first & 0x80 != 0;
    let has_reserved_bits = first & 0x70 != 0;
    let opcode = Opcode::of(first & 0x0f)?;
    let is_masked = second & 0x80 != 0;
    let short = second & 0x7f;
    let is_bad_control = opcode.is_control() && (!is_final || short > LONGEST_CONTROL);
    if has_reserved_bits || !is_masked || is_bad_control {
        return Err(Violation::Protocol);
    }
    let (length, rest) = match short {
        LENGTH_16 => match rest.split_first_chunk() {
            Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest),
            None => return Ok(None),
        },
        LENGTH_64 => match rest.split_first_chunk() {
            Some((length, rest)) => (u64::from_be_bytes(*length), rest),
            None => return Ok(None),
        },
        _ => (u64::from(short), rest),
    };
    let is_shortest_form = match short {
        LENGTH_16 => length >= u64::from(LENGTH_16),
        LENGTH_64 => length > u64::from(u16::MAX),
        _ => true,
    };
    let has_top_bit = length >> 63 != 0;
    if !is_shortest_form || has_top_bit {
        return Err(Violation::Protocol);
    }
    let Some((mask, payload)) = rest.split_first_chunk() else { return Ok(None) };
    let left = usize::try_from(length).map_err(|_| Violation::TooLong)?;
    Ok(Some((Frame { opcode, is_final, left, mask: *mask }, bytes.len() - payload.len())))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;
    use tungstenite::protocol::frame::{FrameHeader, coding::OpCode};

    use super::*;

    /// The bits of a header, its mask, the bytes of the payload, and the bytes of the header.
    type Fields = (u8, bool, [u8; 4], u64, usize);

    fn ours(bytes: &[u8]) -> Result<Option<Fields>, Violation> {
        let code = |opcode| match opcode {
            Opcode::Continuation => 0,
            Opcode::Text => 1,
            Opcode::Binary => 2,
            Opcode::Close => 8,
            Opcode::Ping => 9,
            Opcode::Pong => 10,
        };
        let parsed = parse(bytes)?;
        Ok(parsed.map(|(frame, length)| (code(frame.opcode), frame.is_final, frame.mask, frame.left as u64, length)))
    }

    /// The same by tungstenite's parser, with the rules that tungstenite checks later or not at all.
    fn theirs(bytes: &[u8]) -> Result<Option<Fields>, Violation> {
        let mut cursor = Cursor::new(bytes);
        let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(|_| Violation::Protocol)? else {
            return Ok(None);
        };
        let consumed = cursor.position() as usize;
        let is_control = matches!(header.opcode, OpCode::Control(_));
        let is_bad = header.rsv1
            || header.rsv2
            || header.rsv3
            || (is_control && (!header.is_final || length > 125))
            || header.len(length) != consumed
            || length > i64::MAX as u64;
        match header.mask {
            Some(mask) if !is_bad => Ok(Some((header.opcode.into(), header.is_final, mask, length, consumed))),
            _ => Err(Violation::Protocol),
        }
    }

    /// Headers that are often valid, and lengths near the limits of each form.
    fn header() -> impl Strategy<Value = [u8; LONGEST]> {
        let first = prop_oneof![
            4 => prop_oneof![Just(0x81), Just(0x82), Just(0x80), Just(0x01), Just(0x89)],
            1 => any::<u8>()
        ];
        let second = prop_oneof![
            4 => prop_oneof![Just(0x80u8), Just(0xfd), Just(0xfe), Just(0xff)],
            1 => any::<u8>(),
        ];
        let length = prop_oneof![
            2 => (0u64..300).prop_map(|length| (length << 48).to_be_bytes()),
            2 => (0u64..70_000).prop_map(u64::to_be_bytes),
            1 => any::<[u8; 8]>(),
        ];
        (first, second, length, any::<[u8; 4]>()).prop_map(|(first, second, length, mask)| {
            let mut header = [0; LONGEST];
            header[0] = first;
            header[1] = second;
            header[2..10].copy_from_slice(&length);
            header[10..].copy_from_slice(&mask);
            header
        })
    }

    proptest! {
        #[test]
        fn headers_are_read_as_tungstenite_reads_them(header in header()) {
            let whole = ours(&header);
            prop_assert_eq!(whole, theirs(&header));
            for end in 0..LONGEST {
                // A header that is cut off is incomplete, or already shows what the whole header shows.
                match ours(&header[..end]) {
                    Ok(None) => prop_assert!(!matches!(theirs(&header[..end]), Ok(Some(_)))),
                    early => prop_assert_eq!(early, whole),
                }
            }
        }

        #[test]
        fn a_header_may_come_in_pieces(header in header(), ends in prop::collection::vec(0..LONGEST, 0..5)) {
            let mut ends = ends;
            ends.sort_unstable();
            ends.push(LONGEST);
            let mut partial = PartialHeader::default();
            let mut start = 0;
            for end in ends {
                let mut copy = header;
                let mut piece = &mut copy[start..end];
                match partial.take(&mut piece) {
                    Ok(Some(frame)) => {
                        let used = end - piece.len();
                        let (_, _, mask, length, total) = ours(&header).unwrap().unwrap();
                        prop_assert_eq!((frame.mask, frame.left as u64, used), (mask, length, total));
                        prop_assert!(partial.is_empty());
                        return Ok(());
                    }
                    Ok(None) => prop_assert!(piece.is_empty() && partial.is_empty() == (end == 0)),
                    Err(violation) => {
                        prop_assert_eq!(ours(&header), Err(violation));
                        return Ok(());
                    }
                }
                start = end;
            }
            prop_assert!(false, "14 bytes are always a whole header");
        }

        #[test]
        fn a_payload_is_unmasked_in_pieces_of_any_length(
            payload in prop::collection::vec(any::<u8>(), 0..100),
            mask in any::<[u8; 4]>(),
            ends in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let expected: Vec<u8> = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
            let mut ends: Vec<usize> = ends.iter().map(|end| end.index(payload.len() + 1)).collect();
            ends.sort_unstable();
            ends.push(payload.len());
            let mut frame = Frame { opcode: Opcode::Binary, is_final: true, left: payload.len(), mask };
            let mut payload = payload;
            let mut start = 0;
            for end in ends {
                frame.unmask(&mut payload[start..end]);
                start = end;
            }
            prop_assert_eq!((payload, frame.left), (expected, 0));
        }
    }

    #[test]
    fn a_header_is_refused_as_soon_as_it_shows_why() {
        for bytes in [
            &[0x81, 0x00][..],                         // no mask
            &[0x83, 0x80],                             // reserved opcode
            &[0xc1, 0x80],                             // reserved bit
            &[0x09, 0x80],                             // ping in fragments
            &[0x89, 0xfe],                             // ping of more than 125 bytes
            &[0x81, 0xfe, 0, 125],                     // 125 in 16 bits
            &[0x81, 0xff, 0, 0, 0, 0, 0, 0, 255, 255], // 65,535 in 64 bits
            &[0x81, 0xff, 128, 0, 0, 0, 0, 1, 0, 0],   // the top bit of a length
        ] {
            assert_eq!(parse(bytes).map(drop), Err(Violation::Protocol), "{bytes:x?}");
            assert!(parse(&bytes[..bytes.len() - 1]).unwrap().is_none(), "{bytes:x?}");
        }
        for bytes in [&[0x81, 0xfe, 0, 126][..], &[0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0]] {
            assert!(parse(bytes).unwrap().is_none(), "the mask is missing");
            assert!(parse(&[bytes, &[1, 2, 3, 4]].concat()).unwrap().is_some());
        }
    }
}
