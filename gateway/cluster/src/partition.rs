//! Partitions of what the nodes share.
//!
//! Every user and every room has one, by the hash of its name; what is for the whole cluster is in [`Partition::FIRST`].
//! All keys and channels of a partition have one hash tag, so that a script may use all of them, and publish on them, on a
//! Redis Cluster, too. A server holds whole partitions: one holds all, several share them, and a Cluster places them by
//! their slots.
//!
//! The number of partitions and their tags are part of the format of the data: they never change.

use crate::room_name::RoomName;

/// Number of partitions.
pub const PARTITIONS: u8 = 128;
/// Slots of a Redis Cluster.
const SLOTS: u16 = 16_384;
const SLOTS_OF_ONE: u16 = SLOTS / PARTITIONS as u16;

/// The tags. That of partition n is the smallest number whose slot is one of the nth 128: so they are spread over all
/// slots evenly.
static TAGS: [u16; PARTITIONS as usize] = tags();

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(u8);

impl Partition {
    /// Has what is for the whole cluster, besides its share of users and rooms.
    pub const FIRST: Self = Self(0);

    /// All partitions.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..PARTITIONS).map(Self)
    }

    /// The partition of this number.
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        (number < PARTITIONS).then_some(Self(number))
    }

    /// The partition of a user, or of any other name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self::of_hash(crc16(0, name.as_bytes()))
    }

    /// The partition of a room.
    #[must_use]
    pub fn of_room(RoomName { namespace, name }: &RoomName) -> Self {
        Self::of_hash(crc16(crc16(0, namespace.as_bytes()), name.as_bytes()))
    }

    const fn of_hash(hash: u16) -> Self {
        Self((hash % PARTITIONS as u16) as u8)
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

    /// Its hash tag, without braces.
    #[must_use]
    pub fn tag(self) -> u16 {
        TAGS[self.index()]
    }

    /// Its slot of a Redis Cluster.
    #[must_use]
    pub fn slot(self) -> u16 {
        slot_of(self.tag())
    }
}

/// Some of the partitions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartitionSet(u128);

impl PartitionSet {
    /// All partitions.
    pub const ALL: Self = Self(u128::MAX);

    /// Adds one.
    pub fn insert(&mut self, partition: Partition) {
        self.0 |= 1 << partition.0;
    }

    /// Removes one.
    pub fn remove(&mut self, partition: Partition) {
        self.0 &= !(1 << partition.0);
    }

    /// Whether it has this one.
    #[must_use]
    pub fn contains(self, partition: Partition) -> bool {
        self.0 >> partition.0 & 1 == 1
    }

    /// Whether it has the partition of this room.
    #[must_use]
    pub fn concerns_room(self, room: &RoomName) -> bool {
        self.contains(Partition::of_room(room))
    }

    /// Whether it has the partition of this user.
    #[must_use]
    pub fn concerns_user(self, user: &str) -> bool {
        self.contains(Partition::of(user))
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many it has.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Those of either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of both.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those of this one that the other has not.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Its partitions.
    pub fn iter(self) -> impl Iterator<Item = Partition> {
        Partition::all().filter(move |partition| self.contains(*partition))
    }
}

impl From<Partition> for PartitionSet {
    fn from(partition: Partition) -> Self {
        Self(1 << partition.0)
    }
}

impl FromIterator<Partition> for PartitionSet {
    fn from_iter<I: IntoIterator<Item = Partition>>(partitions: I) -> Self {
        let mut set = Self::default();
        partitions.into_iter().for_each(|partition| set.insert(partition));
        set
    }
}

const fn tags() -> [u16; PARTITIONS as usize] {
    let mut tags = [u16::MAX; PARTITIONS as usize];
    let (mut found, mut number) = (0, 0);
    while found < PARTITIONS {
        let partition = (slot_of(number) / SLOTS_OF_ONE) as usize;
        if tags[partition] == u16::MAX {
            tags[partition] = number;
            found += 1;
        }
        number += 1;
    }
    tags
}

/// The slot of a number's text.
const fn slot_of(number: u16) -> u16 {
    let (mut digits, mut from, mut left) = ([0; 5], 5, number);
    loop {
        from -= 1;
        digits[from] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    let (_, text) = digits.split_at(from);
    crc16(0, text) % SLOTS
}

/// The remainder of each byte.
const CRC: [u16; 256] = remainders();

const fn remainders() -> [u16; 256] {
    let (mut table, mut byte) = ([0; 256], 0);
    while byte < 256 {
        let (mut crc, mut bit) = ((byte as u16) << 8, 0);
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

/// CRC-16/XMODEM, the hash of Redis Cluster, of `before` and then these bytes.
const fn crc16(before: u16, bytes: &[u8]) -> u16 {
    let (mut crc, mut index) = (before, 0);
    while index < bytes.len() {
        crc = crc << 8 ^ CRC[((crc >> 8) as u8 ^ bytes[index]) as usize];
        index += 1;
    }
    crc
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_hash_is_that_of_redis_cluster() {
        assert_eq!(crc16(0, b"123456789"), 0x31c3);
        assert_eq!(crc16(crc16(0, b"1234"), b"56789"), 0x31c3);
        assert_eq!(slot_of(0), crc16(0, b"0") % SLOTS);
        assert_eq!(slot_of(1_203), crc16(0, b"1203") % SLOTS);
    }

    #[test]
    fn tags_differ_and_are_spread_evenly() {
        assert_eq!(Partition::all().map(Partition::tag).collect::<HashSet<_>>().len(), usize::from(PARTITIONS));
        for partition in Partition::all() {
            assert_eq!(partition.slot() / SLOTS_OF_ONE, u16::from(partition.number()));
        }
        // Data in Redis have these names: they must not change.
        assert_eq!([0, 1, 64, 127].map(|number| Partition(number).tag()), [14, 10, 16, 44]);
    }

    #[test]
    fn a_set_has_what_was_added() {
        let mut set: PartitionSet = [3, 127, 0].map(Partition).into_iter().collect();
        assert_eq!(set.iter().map(Partition::number).collect::<Vec<_>>(), [0, 3, 127]);
        set.remove(Partition(3));
        assert_eq!((set.len(), set.contains(Partition(3)), set.contains(Partition(127))), (2, false, true));
        assert_eq!(PartitionSet::ALL.without(set).union(set), PartitionSet::ALL);
        assert_eq!(PartitionSet::ALL.len(), usize::from(PARTITIONS));
        assert!(PartitionSet::default().is_empty() && set.concerns_user("u") == set.contains(Partition::of("u")));
    }
}
