//! The partitions of the log of facts.

/// Number of partitions. Constant: facts of a user or room must stay in one partition for their order.
pub const PARTITIONS: u8 = 16;

/// A part of the log with an order of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(u8);

impl Partition {
    /// All partitions.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..PARTITIONS).map(Self)
    }

    /// The partition of this number.
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        (number < PARTITIONS).then_some(Self(number))
    }

    /// The partition of a user or room, by the hash that Redis Cluster computes of a key's tag.
    pub(crate) fn of(tag: &str) -> Self {
        Self((crc16(tag.as_bytes()) % u16::from(PARTITIONS)) as u8)
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }

    /// Its number as an index.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc: u16, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_redis_cluster() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(Partition::all().count(), 16);
        assert_eq!((Partition::new(15).map(Partition::number), Partition::new(16)), (Some(15), None));
    }
}
