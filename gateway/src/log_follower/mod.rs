//! Follows one log: delivers every stored message once and in order, whatever the bus loses.
//!
//! A message from the bus is delivered if it is the next one; if one is missing, the follower reads the log from the
//! [`cursor`] on. Guarantees: the [`Sink`] gets every number after the position at which it began, once and in order,
//! or a reset with the position from which it continues. Deliberately knows neither members nor what the log is for.

mod cursor;
mod missed;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use jackfield_cluster::{
    Unavailable,
    log::{KEPT, Log, Page, Position, Range},
    room_name::RoomName,
};
use tokio::{
    sync::Notify,
    time::{Duration, Instant},
};

pub(crate) use self::{
    cursor::{Cursor, Live, Read},
    missed::missed,
};
use crate::metrics;

/// Time between two attempts to read a log that does not answer.
const RETRY: Duration = Duration::from_millis(200);

/// Receives the messages of a log.
pub(crate) trait Sink {
    /// The label of its metrics: `room` or `feed`.
    const KIND: &'static str;

    /// Delivers the next message.
    fn deliver(&mut self, position: Position, body: &Arc<str>) -> impl Future<Output = ()> + Send;

    /// Missed messages up to `position` are lost, and the messages after it follow. `anew` if the log began a new epoch
    /// there.
    ///
    /// # Errors
    /// [`Unavailable`]: the follower calls it again with the next attempt.
    fn reset(&mut self, position: Position, anew: bool) -> impl Future<Output = Result<(), Unavailable>> + Send;
}

/// Signals that reach a follower even if its task's mailbox is full.
#[derive(Default)]
pub(crate) struct Signals {
    /// Messages may have been missed, and the log has not been read since.
    missed: AtomicBool,
    wake: Notify,
}

impl Signals {
    /// Messages may have been missed: makes the follower read the log.
    pub(crate) fn missed(&self) {
        self.missed.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    pub(crate) fn is_behind(&self) -> bool {
        self.missed.load(Ordering::Acquire)
    }
}

/// See the module.
pub(crate) struct LogFollower {
    log: Log,
    name: RoomName,
    /// `None` until [`LogFollower::begin`].
    cursor: Option<Cursor>,
    /// The ends of the log's earlier epochs that are known: see [`Page::earlier`].
    earlier: Vec<Position>,
    /// Earliest time of the next read, after one that failed.
    again_at: Instant,
}

impl LogFollower {
    pub(crate) fn new(log: Log, name: RoomName) -> Self {
        Self { log, name, cursor: None, earlier: Vec::new(), again_at: Instant::now() }
    }

    /// Follows from the end of this page on. Subscribe to the log's channel before reading the page.
    pub(crate) fn begin(&mut self, page: &Page) {
        self.cursor = Some(Cursor::new(page.end));
        self.earlier.clone_from(&page.earlier);
    }

    /// The number after which a reader goes on that has everything up to `seen`; see [`Page::number_of`]. `None` also for
    /// one that has seen the empty log.
    pub(crate) fn number_of(&self, seen: Position) -> Option<u64> {
        let mut ends = self.earlier.iter().copied().chain(self.at());
        let end = ends.find(|end| end.epoch == seen.epoch)?;
        (seen.number <= end.number).then_some(seen.number)
    }

    /// The last position that was delivered; `None` before [`LogFollower::begin`].
    pub(crate) fn at(&self) -> Option<Position> {
        self.cursor.map(Cursor::at)
    }

    /// Waits until [`LogFollower::repair`] has to be called.
    pub(crate) async fn behind(&self, signals: &Signals) {
        while !signals.is_behind() {
            signals.wake.notified().await;
        }
        tokio::time::sleep_until(self.again_at).await;
    }

    /// Handles a message from the bus. If an earlier one is missing, reads the log at once, as a part of this message's
    /// trace; if the log does not answer, the signal is set. As long as it is set, messages wait for the log: it may not be
    /// the log any more that the follower has followed so far.
    pub(crate) async fn live(&mut self, position: Position, body: &Arc<str>, signals: &Signals, sink: &mut impl Sink) {
        let Some(cursor) = self.cursor.as_mut().filter(|_| !signals.is_behind()) else { return };
        match cursor.live(position) {
            Live::Deliver => sink.deliver(position, body).await,
            Live::Seen => {}
            Live::Repair => drop(self.repair(signals, sink).await),
        }
    }

    /// Reads and delivers the missing messages. Returns false if the log does not answer: then the signal stays set.
    pub(crate) async fn repair<S: Sink>(&mut self, signals: &Signals, sink: &mut S) -> bool {
        signals.missed.store(false, Ordering::Release);
        let repaired = self.read_on(sink).await.is_ok();
        if !repaired {
            signals.missed.store(true, Ordering::Release);
            self.again_at = Instant::now() + RETRY;
        }
        repaired
    }

    async fn read_on<S: Sink>(&mut self, sink: &mut S) -> Result<(), Unavailable> {
        let Some(mut cursor) = self.cursor else { return Ok(()) };
        loop {
            let seen = cursor.at();
            let page = self.log.read(&self.name, Range::After(seen.number), KEPT, Some(seen)).await?;
            self.earlier.clone_from(&page.earlier);
            match cursor.read(&page) {
                Read::Deliver { lost, from, more } => {
                    if let Some(lost) = lost {
                        tracing::warn!(
                            log = %self.name,
                            position = %lost,
                            "members missed more messages than the log keeps: the oldest missed ones are lost"
                        );
                        metrics::RESETS.add_for([S::KIND], 1);
                        sink.reset(lost, false).await?;
                    }
                    self.cursor = Some(cursor);
                    let missed = &page.messages[from..];
                    metrics::REPAIRED.add_for([S::KIND], missed.len());
                    for stored in missed {
                        sink.deliver(stored.position, &stored.body).await;
                    }
                    if !more {
                        return Ok(());
                    }
                }
                Read::Anew { at } => {
                    tracing::warn!(
                        log = %self.name,
                        position = %at,
                        "Redis lost messages of this log: it continues under a new epoch"
                    );
                    metrics::RESETS.add_for([S::KIND], 1);
                    sink.reset(at, true).await?;
                    self.cursor = Some(cursor);
                }
            }
        }
    }
}
