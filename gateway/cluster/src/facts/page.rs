//! A part of a partition, and what a partition keeps.

use std::time::Duration;

use crate::{
    facts::{fact::Fact, kind::Kinds},
    log::Position,
};

/// Bytes of facts in one page of a partition; the first fact is included whatever its length.
pub const PAGE_BYTES: usize = 256 * 1024;

/// Which facts are recorded, and how long they are kept.
#[derive(Debug, Clone, Copy)]
pub struct FactTerms {
    /// The kinds that are recorded.
    pub kinds: Kinds,
    /// How many facts all partitions keep together, about.
    pub max: u64,
    /// How long a fact is kept.
    pub age: Duration,
}

impl FactTerms {
    /// Records nothing.
    pub const OFF: Self = Self { kinds: Kinds::NONE, max: 1, age: Duration::ZERO };
}

/// A part of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In order. Facts of kinds that only a newer version knows are left out.
    pub facts: Vec<Fact>,
    /// The position to continue from.
    pub next: Position,
    /// The partition's end.
    pub end: Position,
    /// Facts after the given position that are no longer kept.
    pub dropped: u64,
    /// Data was lost: facts after the given position may be missing.
    pub reset: bool,
}
