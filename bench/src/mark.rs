//! The mark that every message carries: its sender, its number and its time, in fixed-width hexadecimal, so that a
//! receiver finds it in any server's frame without parsing JSON.

use memchr::memmem::find;

/// A message's sender, number and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Index of the sender.
    pub sender: u32,
    /// Number of the message: 0, 1, 2, … for each sender.
    pub sequence: u32,
    /// When it was sent or, in a paced run, when it was due; nanoseconds.
    pub time: u64,
}

const PREFIX: &[u8] = b"@mark:";
const DIGITS: usize = 8 + 8 + 16;
/// Length of a mark in bytes.
pub const LENGTH: usize = PREFIX.len() + DIGITS;

impl Mark {
    /// Appends the mark, and then padding up to `size` bytes in total.
    pub fn append(self, text: &mut Vec<u8>, size: usize) {
        text.extend_from_slice(PREFIX);
        digits(text, u64::from(self.sender), 8);
        digits(text, u64::from(self.sequence), 8);
        digits(text, self.time, 16);
        text.resize(text.len() + size.saturating_sub(LENGTH), b'x');
    }

    /// The first mark in a frame.
    pub fn find(frame: &[u8]) -> Option<Self> {
        let start = find(frame, PREFIX)? + PREFIX.len();
        let digits = frame.get(start..start + DIGITS)?;
        let part = |from: usize, to: usize| number(digits.get(from..to)?);
        Some(Self {
            sender: u32::try_from(part(0, 8)?).ok()?,
            sequence: u32::try_from(part(8, 16)?).ok()?,
            time: part(16, 32)?,
        })
    }
}

fn digits(text: &mut Vec<u8>, value: u64, width: u32) {
    for place in (0..width).rev() {
        let digit = (value >> (4 * place)) & 0xf;
        text.push(b"0123456789abcdef"[usize::try_from(digit).unwrap_or_default()]);
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value: u64, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_found_as_it_was_written(sender: u32, sequence: u32, time: u64, size in 0_usize..300) {
            let mark = Mark { sender, sequence, time };
            let mut frame = br#"42/chat,["new-message",{"content":""#.to_vec();
            let before = frame.len();
            mark.append(&mut frame, size);
            prop_assert_eq!(frame.len() - before, size.max(LENGTH));
            frame.extend_from_slice(br#""}]"#);
            prop_assert_eq!(Mark::find(&frame), Some(mark));
        }
    }

    #[test]
    fn is_not_found_where_none_is() {
        for frame in [&b""[..], b"@mark:", b"@mark:00000000000000010000000000000xyz", b"no mark here at all"] {
            assert_eq!(Mark::find(frame), None);
        }
    }
}
