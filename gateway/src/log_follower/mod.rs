//! Follows one log: everything that is stored in it is delivered once and in order, whatever the bus loses.
//!
//! Messages that come over the bus are delivered while each is the next one; when one is missing, the log is read from
//! the [`cursor`] on. Guarantees: the [`Sink`] gets every number after the position it began at, once and in order, or a
//! reset that says from which position on. Deliberately knows neither members nor what the log is for.

mod cursor;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use jackfield_cluster::{
    Unavailable,
    log::{KEPT, Log, Position, Range},
    room_name::RoomName,
};
use tokio::{
    sync::Notify,
    time::{Duration, Instant},
};

use self::cursor::{Cursor, Live, Read};
use crate::metrics;

/// Wait between two attempts to read a log that does not answer.
const RETRY: Duration = Duration::from_millis(200);

/// What happens to the messages.
pub(crate) trait Sink {
    /// The label of its metrics: `room` or `feed`.
    const KIND: &'static str;

    /// The next message.
    fn deliver(&mut self, position: Position, body: &Arc<str>) -> impl Future<Output = ()> + Send;

    /// Messages up to `position` are lost: those after it follow. `anew` if the log began anew there.
    ///
    /// # Errors
    /// [`Unavailable`]: it is called again with the next attempt.
    fn reset(&mut self, position: Position, anew: bool) -> impl Future<Output = Result<(), Unavailable>> + Send;
}

/// What reaches a follower even if its mailbox is full.
#[derive(Default)]
pub(crate) struct Signals {
    /// Messages may have been missed: the log has to be read.
    missed: AtomicBool,
    wake: Notify,
}

impl Signals {
    /// Messages may have been missed.
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
    /// When to read a log again that did not answer.
    again_at: Instant,
}

impl LogFollower {
    pub(crate) fn new(log: Log, name: RoomName) -> Self {
        Self { log, name, cursor: None, again_at: Instant::now() }
    }

    /// Follows from this position on. Subscribe to the log's channel before reading it.
    pub(crate) fn begin(&mut self, position: Position) {
        self.cursor = Some(Cursor::new(position));
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

    /// A message came over the bus. If one before it is missing, reads the log at once, as a part of this message's
    /// trace; if the log does not answer, the signal is set.
    pub(crate) async fn live(&mut self, position: Position, body: &Arc<str>, signals: &Signals, sink: &mut impl Sink) {
        let Some(cursor) = &mut self.cursor else { return };
        match cursor.live(position) {
            Live::Deliver => sink.deliver(position, body).await,
            Live::Seen => {}
            Live::Repair if !signals.is_behind() => {
                self.repair(signals, sink).await;
            }
            Live::Repair => {}
        }
    }

    /// Reads and delivers what is missing. Returns false if the log does not answer: the signal stays set.
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
            match cursor.read(&page) {
                Read::Deliver { lost, from, more } => {
                    if let Some(lost) = lost {
                        tracing::warn!(log = %self.name, position = %lost, "messages were lost: more were missed than the log keeps");
                        metrics::RESETS.add_for([S::KIND], 1);
                        sink.reset(lost, false).await?;
                    }
                    self.cursor = Some(cursor);
                    let missed = &page.messages[from..];
                    metrics::REPAIRED.add_for([S::KIND], missed.len());
                    for stored in missed {
                        sink.deliver(Position { number: stored.number, ..page.end }, &stored.body).await;
                    }
                    if !more {
                        return Ok(());
                    }
                }
                Read::Anew { at } => {
                    tracing::warn!(log = %self.name, position = %at, "the log began anew: Redis lost messages of it");
                    metrics::RESETS.add_for([S::KIND], 1);
                    sink.reset(at, true).await?;
                    self.cursor = Some(cursor);
                }
            }
        }
    }
}
