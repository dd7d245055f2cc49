//! State that the connections of a shard share: limits, the heartbeat, and the list of those with unsent frames.
//!
//! Guarantees: the frames that are sent to a connection in one turn of the runtime leave in one write, because
//! [`Shard::flush`] runs after the tasks that are ready; a long list is written in chunks, between which others run.
//! Knows no Socket.IO.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicUsize, Ordering},
};

use jackfield_shared::lifecycle::Lifecycle;
use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{
    heartbeat::{Pace, Ring, Turn},
    table::Table,
    turn::Unsent,
    wire::Wire,
};
use crate::{CloseReason, EngineLimits, Frame, packet::DecoderLimits, stragglers::Stragglers};

/// Connections that are written to before others run.
const CHUNK: usize = 64;

/// Turns of the runtime that may pass before a flush, while each of them brings more frames.
const GATHER: usize = 4;
/// Most bytes of incomplete messages of all connections.
const MOST_PARTIAL: usize = 64 * 1024 * 1024;

/// See the module.
pub(super) struct Shard {
    pub(super) limits: EngineLimits,
    pub(super) decoding: DecoderLimits,
    pub(super) lifecycle: Lifecycle,
    pub(super) stragglers: Stragglers<Wire>,
    /// Connections with polling, of every shard, by their ids.
    pub(super) polling: Arc<Table<Wire>>,
    pub(super) ping: Frame,
    pace: Pace,
    ring: Mutex<Ring<Wire>>,
    /// The slice of time that has begun last.
    slice: AtomicU32,
    pub(super) unsent: Unsent<Wire>,
    /// Frames that were queued so far.
    sent: AtomicUsize,
    /// Bytes of messages of which only a part has arrived.
    partial: AtomicUsize,
}

impl Shard {
    /// A shard, and its background tasks.
    pub(super) fn start(limits: EngineLimits, lifecycle: &Lifecycle, polling: &Arc<Table<Wire>>) -> Arc<Self> {
        let pace = Pace::new(limits.ping_interval, limits.ping_timeout);
        let shard = Arc::new(Self {
            limits,
            decoding: DecoderLimits::of(&limits),
            stragglers: Stragglers::default(),
            polling: Arc::clone(polling),
            ping: Frame::engine_packet("2"),
            pace,
            ring: Mutex::new(Ring::new(pace)),
            slice: AtomicU32::new(0),
            unsent: Unsent::new(),
            sent: AtomicUsize::new(0),
            partial: AtomicUsize::new(0),
            lifecycle: lifecycle.clone(),
        });
        let stop = lifecycle.stopping();
        let task = (Arc::clone(&shard), stop.clone());
        lifecycle.spawn(async move { task.0.flush(task.1).await });
        let task = (Arc::clone(&shard), stop.clone());
        lifecycle.spawn(async move { task.0.heartbeat(task.1).await });
        let watched = Arc::clone(&shard);
        lifecycle.spawn(async move { watched.stragglers.watch(limits.queue_age, stop).await });
        shard
    }

    /// The slice of time that has begun last, for [`Wire::heard`].
    pub(super) fn slice(&self) -> u32 {
        self.slice.load(Ordering::Relaxed)
    }

    /// Adds a new connection to the heartbeat.
    pub(super) fn add(&self, wire: &Arc<Wire>) {
        self.ring.lock().add(wire);
    }

    /// A frame was queued.
    pub(super) fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts bytes of an incomplete message. False if there are too many, and these were not counted.
    pub(super) fn hold_partial(&self, bytes: usize) -> bool {
        let fits = bytes == 0 || self.partial.fetch_add(bytes, Ordering::AcqRel) + bytes <= MOST_PARTIAL;
        if !fits {
            self.release_partial(bytes);
        }
        fits
    }

    pub(super) fn release_partial(&self, bytes: usize) {
        if bytes > 0 {
            self.partial.fetch_sub(bytes, Ordering::AcqRel);
        }
    }

    /// Writes what was sent to the listed connections, until `stop`.
    async fn flush(&self, stop: CancellationToken) {
        let mut batch = Vec::new();
        while stop.run_until_cancelled(self.unsent.begun()).await.is_some() {
            self.gather().await;
            self.unsent.take(&mut batch);
            for chunk in batch.chunks(CHUNK) {
                chunk.iter().for_each(Wire::flush);
                tokio::task::yield_now().await;
            }
            batch.clear();
        }
    }

    /// Lets the tasks that are ready run first, so that their frames leave in the same writes: while that brings more
    /// frames, but not for long. Without other work this takes no time.
    async fn gather(&self) {
        let mut before = self.sent.load(Ordering::Relaxed);
        for _ in 0..GATHER {
            tokio::task::yield_now().await;
            let now = self.sent.load(Ordering::Relaxed);
            if now == before {
                return;
            }
            before = now;
        }
    }

    /// Pings connections and closes the silent ones; closes all of them after `stop`.
    async fn heartbeat(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.pace.slice);
        // Slices that were missed while the process stood still do not count.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        ticks.tick().await;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let (now, Turn { ping, check }) = {
                let mut ring = self.ring.lock();
                let turn = ring.advance(Wire::has_ended);
                // Under the lock, so that a new connection was heard in the slice that it is listed in.
                self.slice.store(turn.0, Ordering::Relaxed);
                turn
            };
            for wire in check.iter().filter(|wire| self.pace.is_over(wire.heard(), now)) {
                wire.time_out();
            }
            for chunk in ping.chunks(CHUNK) {
                let answering = chunk.iter().filter(|wire| self.pace.has_answered(wire.heard(), now));
                answering.for_each(|wire| wire.ping());
                tokio::task::yield_now().await;
            }
        }
        let all = self.ring.lock().all();
        all.iter().for_each(|wire| wire.abort(CloseReason::Draining));
    }
}
