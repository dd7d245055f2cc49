//! The cursor of `/v1/facts`: a position in every partition, as one opaque text.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jackfield_cluster::{
    log::Position,
    partition::{PARTITIONS, Partition},
};

/// The first byte: another meaning of the rest gets another one.
const VERSION: u8 = 2;
/// Bytes of a position: 7 of its epoch, 6 of its number.
const POSITION: usize = 13;
const BYTES: usize = 1 + PARTITIONS as usize * POSITION;

/// See the module. The default is before the oldest fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor(Box<[Position; PARTITIONS as usize]>);

impl Default for Cursor {
    fn default() -> Self {
        Self(Box::new([Position::default(); PARTITIONS as usize]))
    }
}

impl Cursor {
    /// The reverse of [`Cursor::text`].
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; BYTES];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        if length != BYTES || bytes[0] != VERSION {
            return None;
        }
        let mut cursor = Self::default();
        for (position, bytes) in cursor.0.iter_mut().zip(bytes[1..].chunks(POSITION)) {
            let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
            *position = Position { epoch: number(&bytes[..7]), number: number(&bytes[7..]) };
            // Lua has 53 bits for both.
            if position.epoch >= 1 << 53 || position.number >= 1 << 47 {
                return None;
            }
        }
        Some(cursor)
    }

    /// 2,220 characters.
    pub(super) fn text(&self) -> String {
        let mut bytes = vec![VERSION];
        for Position { epoch, number } in &*self.0 {
            bytes.extend(&epoch.to_be_bytes()[1..]);
            bytes.extend(&number.to_be_bytes()[2..]);
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position in a partition.
    pub(super) fn of(&self, partition: Partition) -> Position {
        self.0[partition.index()]
    }

    pub(super) fn set(&mut self, partition: Partition, position: Position) {
        self.0[partition.index()] = position;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cursors_survive_their_text(positions in prop::collection::vec((0..1_u64 << 53, 0..1_u64 << 47), PARTITIONS as usize)) {
            let mut cursor = Cursor::default();
            for (partition, (epoch, number)) in Partition::all().zip(positions) {
                cursor.set(partition, Position { epoch, number });
            }
            let text = cursor.text();
            prop_assert_eq!((Cursor::parse(&text), text.len()), (Some(cursor), 2_220));
            prop_assert_eq!(Cursor::parse(&text[1..]), None);
        }

        #[test]
        fn any_text_parses_without_panic(text in "[A-Za-z0-9_-]{0,2300}") {
            let _ = Cursor::parse(&text);
        }
    }
}
