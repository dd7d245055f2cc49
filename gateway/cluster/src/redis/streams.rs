//! Reads logs in Redis: streams with a head, whatever they are of.

use std::{
    array,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{FromRedisValue, ToSingleRedisArg};

use crate::{
    Unavailable,
    log::{
        page::{PAGE_BYTES, Page, Range, Stored, position_of},
        position::Position,
    },
    partition::{PARTITIONS, Partition, PartitionSet},
    redis::{
        link::RedisLink,
        script::{Source, script},
    },
};

static READ: LazyLock<Source> = script!("term.lua", "../log/common.lua", "../log/read.lua");
static REMEMBERED: LazyLock<Source> = script!("../log/remembered.lua");

/// After no read or write for this long, a log begins a new epoch: 30 days, and the hour for which an append need not
/// renew it.
pub(crate) const EPOCH_KEPT: Duration = Duration::from_hours(24 * 30 + 1);

/// See the module. Cheap to clone; clones share what they know.
#[derive(Clone)]
pub(crate) struct Streams {
    link: Arc<RedisLink>,
    /// Epoch of everything without a log in each partition; 0 until it is known.
    empty: Arc<[AtomicU64; PARTITIONS as usize]>,
}

/// The part of a log to read.
pub(crate) struct Wanted {
    pub(crate) range: Range,
    /// Most messages.
    pub(crate) count: usize,
    /// The newest position that the caller knows.
    pub(crate) seen: Option<Position>,
    /// How long the log keeps its messages.
    pub(crate) kept_for: Duration,
}

/// The script's answer: epoch, last number, base; earlier epochs and their last numbers; numbers and bodies; milliseconds.
type Answer<B> = (u64, u64, u64, Vec<(u64, u64)>, Vec<(u64, B)>, u64);

impl Streams {
    pub(crate) fn new(link: Arc<RedisLink>) -> Self {
        Self { link, empty: Arc::new(array::from_fn(|_| AtomicU64::new(0))) }
    }

    /// See [`crate::log::Log::may_be_lost`].
    pub(crate) fn may_be_lost(&self, partitions: PartitionSet) {
        for partition in partitions.iter() {
            self.empty[partition.index()].store(0, Ordering::Release);
        }
    }

    /// See [`crate::log::Log::empty`].
    pub(crate) async fn empty(&self, partition: Partition) -> Result<Position, Unavailable> {
        match self.empty[partition.index()].load(Ordering::Acquire) {
            0 => self.ask_empty(partition).await,
            epoch => Ok(Position { epoch, number: 0 }),
        }
    }

    /// The end of a log as scripts return it: 0 and 0 without a log.
    pub(crate) fn end(epoch: u64, number: u64, empty: Position) -> Position {
        if epoch == 0 { empty } else { Position { epoch, number } }
    }

    async fn ask_empty(&self, partition: Partition) -> Result<Position, Unavailable> {
        let key = self.link.keys.remembered_since(partition);
        let epoch = self.link.run(partition, &self.link.call(&REMEMBERED, &[key], 0, 128)).await?;
        self.empty[partition.index()].store(epoch, Ordering::Release);
        Ok(Position { epoch, number: 0 })
    }

    /// Reads a part of the log with this stream and this head, which are in this partition.
    pub(crate) async fn read<B: FromRedisValue>(
        &self,
        partition: Partition,
        [stream, head]: [&impl ToSingleRedisArg; 2],
        Wanted { range, count, seen, kept_for }: Wanted,
    ) -> Result<Page<B>, Unavailable> {
        let mut empty = self.empty(partition).await?;
        let (what, number) = match range {
            Range::After(number) => ("after", number),
            Range::Before(number) => ("before", number),
            Range::Newest => ("newest", 0),
        };
        let mut call = self.link.call(&READ, &[stream, head], 9, 512);
        call.arg(what).arg(number).arg(count).arg(millis(kept_for)).arg(millis(EPOCH_KEPT));
        let seen_or_none = seen.unwrap_or(Position { epoch: 0, number: 0 });
        call.arg(seen_or_none.epoch).arg(seen_or_none.number);
        call.arg(empty.epoch).arg(PAGE_BYTES);
        let (epoch, last, base, earlier, entries, kept_for): Answer<B> = self.link.run(partition, &call).await?;
        let (mut end, kept_for) = (Position { epoch, number: last }, Duration::from_millis(kept_for));
        let earlier: Vec<_> = earlier.into_iter().map(|(epoch, number)| Position { epoch, number }).collect();
        let stored = |(number, body)| Stored { position: position_of(number, &earlier, end), body };
        let messages = entries.into_iter().map(stored).collect();
        if end == empty && seen.is_some_and(|seen| seen != empty) {
            // The log that the caller has seen no longer exists. If all data was lost, this node's `empty` is outdated.
            empty = self.ask_empty(partition).await?;
            end = empty;
        }
        Ok(Page { end, base, earlier, messages, empty, kept_for })
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
