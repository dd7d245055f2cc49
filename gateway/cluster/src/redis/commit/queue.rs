//! The writes that wait for a batch, and when the next batch begins. Pure: the time is an argument.
//!
//! A batch takes everything that waits, up to [`BATCH`] writes and [`BATCH_BYTES`]. While no batch is under way, the
//! next begins at once; a second one begins [`PACE`] after the last, up to [`UNDER_WAY`] of them. A Redis that
//! confirms quickly has therefore one batch at a time, and one that syncs its disk once a second delays a write by one
//! sync, not by two. Writes whose callers no longer wait are dropped, not sent.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Most writes of one batch.
pub(super) const BATCH: usize = 512;
/// Most bytes of one batch; a longer write is a batch of its own.
const BATCH_BYTES: usize = 1024 * 1024;
/// Most writes that wait.
pub(super) const WAITING: usize = 8_192;
/// Most bytes that wait.
const WAITING_BYTES: usize = 16 * 1024 * 1024;
/// Most batches under way.
const UNDER_WAY: usize = 4;
/// Time between the beginnings of two batches, if the first is still under way.
const PACE: Duration = Duration::from_millis(250);

/// One write.
pub(super) trait Write {
    /// Its size in memory, about.
    fn bytes(&self) -> usize;
    /// Whether its caller still waits.
    fn is_wanted(&self) -> bool;
}

/// The queue is full.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The next step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<W> {
    /// Send this batch; never empty.
    Batch(Vec<W>),
    /// Ask again at this time, or when a write arrives or a batch has ended.
    At(Instant),
    /// Ask again when a write arrives or a batch has ended.
    Idle,
}

/// See the module.
pub(super) struct Queue<W> {
    waiting: VecDeque<W>,
    bytes: usize,
    under_way: usize,
    last_begun: Option<Instant>,
}

impl<W: Write> Queue<W> {
    pub(super) fn new() -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, under_way: 0, last_begun: None }
    }

    /// Adds a write. A full queue first drops those that are not wanted any more.
    pub(super) fn push(&mut self, write: W) -> Result<(), Full> {
        if !self.has_room_for(&write) {
            self.waiting.retain(W::is_wanted);
            self.bytes = self.waiting.iter().map(W::bytes).sum();
            if !self.has_room_for(&write) {
                return Err(Full);
            }
        }
        self.bytes += write.bytes();
        self.waiting.push_back(write);
        Ok(())
    }

    fn has_room_for(&self, write: &W) -> bool {
        self.waiting.len() < WAITING && self.bytes + write.bytes() <= WAITING_BYTES
    }

    /// Takes the next batch if it is time for it: then call [`Queue::ended`] when it has ended.
    pub(super) fn next(&mut self, now: Instant) -> Next<W> {
        if self.waiting.is_empty() || self.under_way >= UNDER_WAY {
            return Next::Idle;
        }
        if let Some(due) = self.last_begun.map(|begun| begun + PACE).filter(|due| self.under_way > 0 && *due > now) {
            return Next::At(due);
        }
        let batch = self.take();
        if batch.is_empty() {
            return Next::Idle;
        }
        self.under_way += 1;
        self.last_begun = Some(now);
        Next::Batch(batch)
    }

    /// A batch has ended.
    pub(super) fn ended(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    fn take(&mut self) -> Vec<W> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(next) = self.waiting.front() {
            let size = next.bytes();
            if batch.len() == BATCH || (!batch.is_empty() && bytes + size > BATCH_BYTES) {
                break;
            }
            let Some(write) = self.waiting.pop_front() else { break };
            self.bytes -= size;
            if write.is_wanted() {
                bytes += size;
                batch.push(write);
            }
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Fake {
        id: usize,
        bytes: usize,
        wanted: bool,
    }

    impl Write for Fake {
        fn bytes(&self) -> usize {
            self.bytes
        }

        fn is_wanted(&self) -> bool {
            self.wanted
        }
    }

    fn write(id: usize) -> Fake {
        Fake { id, bytes: 100, wanted: true }
    }

    fn ids(next: Next<Fake>) -> Vec<usize> {
        match next {
            Next::Batch(batch) => batch.into_iter().map(|write| write.id).collect(),
            other => panic!("no batch: {other:?}"),
        }
    }

    #[test]
    fn what_arrives_during_a_batch_is_the_next_one() {
        let (mut queue, start) = (Queue::new(), Instant::now());
        queue.push(write(0)).unwrap();
        assert_eq!(ids(queue.next(start)), [0]);
        queue.push(write(1)).unwrap();
        queue.push(write(2)).unwrap();
        assert_eq!(queue.next(start), Next::At(start + PACE));
        queue.ended();
        assert_eq!(ids(queue.next(start)), [1, 2], "at once when the first has ended");
        assert_eq!(queue.next(start), Next::Idle);
    }

    #[test]
    fn a_slow_batch_does_not_hold_up_the_next_for_long() {
        let (mut queue, start) = (Queue::new(), Instant::now());
        for (n, id) in (0..).zip(0..UNDER_WAY) {
            queue.push(write(id)).unwrap();
            assert_eq!(ids(queue.next(start + PACE * n)), [id]);
        }
        queue.push(write(9)).unwrap();
        assert_eq!(queue.next(start + PACE * 20), Next::Idle, "too many are under way");
        queue.ended();
        assert_eq!(ids(queue.next(start + PACE * 20)), [9]);
    }

    #[test]
    fn unwanted_writes_are_not_sent_and_make_room() {
        let (mut queue, start) = (Queue::new(), Instant::now());
        for id in 0..WAITING {
            queue.push(Fake { wanted: id % 2 == 0, ..write(id) }).unwrap();
        }
        queue.push(write(WAITING)).unwrap();
        let first = ids(queue.next(start));
        assert_eq!((first.len(), first[1]), (BATCH, 2));
        let mut queue = Queue::new();
        queue.push(Fake { wanted: false, ..write(0) }).unwrap();
        assert_eq!((queue.next(start), queue.next(start)), (Next::Idle, Next::Idle));
        queue.push(write(1)).unwrap();
        assert_eq!(ids(queue.next(start)), [1]);
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut queue = Queue::new();
        assert!((0..WAITING).all(|id| queue.push(write(id)).is_ok()));
        assert_eq!(queue.push(write(0)), Err(Full));
        let mut queue = Queue::new();
        let large = Fake { bytes: WAITING_BYTES / 2 + 1, ..write(0) };
        assert_eq!((queue.push(large.clone()), queue.push(large)), (Ok(()), Err(Full)));
    }

    proptest! {
        /// Every wanted write is sent once, in order, in batches within the bounds.
        #[test]
        fn all_are_sent_once_and_in_order(
            sizes in prop::collection::vec((0..2 * BATCH_BYTES / 3, any::<bool>()), 0..40), ends in prop::collection::vec(any::<bool>(), 40)
        ) {
            let (mut queue, mut now, mut sent) = (Queue::new(), Instant::now(), Vec::new());
            let mut accepted = Vec::new();
            for (id, ((bytes, wanted), ends)) in sizes.into_iter().zip(ends).enumerate() {
                if queue.push(Fake { id, bytes, wanted }).is_ok() && wanted {
                    accepted.push(id);
                }
                if ends {
                    queue.ended();
                }
                if let Next::Batch(batch) = queue.next(now) {
                    let total: usize = batch.iter().map(Write::bytes).sum();
                    prop_assert!(!batch.is_empty() && batch.len() <= BATCH && (total <= BATCH_BYTES || batch.len() == 1));
                    prop_assert!(queue.under_way <= UNDER_WAY);
                    sent.extend(batch.into_iter().map(|write| write.id));
                }
                now += PACE / 3;
            }
            while queue.bytes > 0 || !queue.waiting.is_empty() {
                queue.ended();
                now += PACE;
                if let Next::Batch(batch) = queue.next(now) {
                    sent.extend(batch.into_iter().map(|write| write.id));
                }
            }
            prop_assert_eq!(sent, accepted);
        }
    }
}
