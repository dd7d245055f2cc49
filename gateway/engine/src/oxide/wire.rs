//! State that a connection's transport and queue share: the bytes that wait, the bytes that may still be read, and
//! whether to tear the transport down.
//!
//! The library takes frames into a queue of its own and does not report when it wrote them. So [`OxideOutbox`] counts
//! the bytes that it queues, and the [stream](super::stream) and the [polls](super::poll) count those that were
//! written. Guarantees: [`Wire::waiting`] is never less than the message bytes in the library's queue.
//!
//! [`OxideOutbox`]: super::OxideOutbox

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Waker},
};

use engineioxide::Socket;
use parking_lot::Mutex;

use super::socket_data::SocketData;
use crate::{
    allowance::Allowance,
    stragglers::{BEHIND, Stragglers},
};

/// Limits and state that all wires of an engine share.
pub(super) struct WireLimits {
    /// Bytes that may wait for one connection.
    pub(super) queue_bytes: u64,
    pub(super) stragglers: Stragglers<Socket<SocketData>>,
}

/// See the module.
pub(super) struct Wire {
    pub(super) limits: Arc<WireLimits>,
    queued: AtomicU64,
    written: AtomicU64,
    pub(super) allowance: Allowance,
    /// Listed in [`Stragglers`].
    watched: AtomicBool,
    aborted: AtomicBool,
    /// Nothing more is read.
    reading_stopped: AtomicBool,
    /// A POST is being read.
    posting: AtomicBool,
    /// The answer to a poll is being written.
    answering: AtomicBool,
    /// The waker of the task that waits until the socket accepts bytes.
    writer: Mutex<Option<Waker>>,
}

impl Wire {
    pub(super) fn new(limits: Arc<WireLimits>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            queued: AtomicU64::new(0),
            written: AtomicU64::new(0),
            allowance: Allowance::default(),
            watched: AtomicBool::new(false),
            aborted: AtomicBool::new(false),
            reading_stopped: AtomicBool::new(false),
            posting: AtomicBool::new(false),
            answering: AtomicBool::new(false),
            writer: Mutex::default(),
        })
    }

    /// Whether a frame of this many bytes may be queued. If nothing else waits, any frame may.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        let waiting = self.waiting();
        waiting == 0 || waiting.saturating_add(bytes) <= self.limits.queue_bytes
    }

    /// Counts a queued frame. Call it before passing the frame to the library, so that its write is not counted first.
    pub(super) fn queued(&self, bytes: u64) {
        self.queued.fetch_add(bytes, Ordering::AcqRel);
    }

    pub(super) fn wrote(&self, bytes: u64) {
        self.written.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Bytes that were queued and not written yet.
    pub(super) fn waiting(&self) -> u64 {
        let written = self.written.load(Ordering::Acquire);
        self.queued.load(Ordering::Acquire).saturating_sub(written)
    }

    /// Bytes queued and bytes written since the connection's start.
    pub(super) fn totals(&self) -> (u64, u64) {
        let written = self.written.load(Ordering::Acquire);
        (self.queued.load(Ordering::Acquire), written)
    }

    /// Whether so much waits that the connection must be watched. False if it is watched already.
    pub(super) fn begin_watch(&self) -> bool {
        self.waiting() > BEHIND && !self.watched.swap(true, Ordering::AcqRel)
    }

    pub(super) fn end_watch(&self) {
        self.watched.store(false, Ordering::Release);
    }

    /// Stops reading from a WebSocket that is about to be aborted; its queue is still written. Does not affect a
    /// polling client's POSTs.
    pub(super) fn stop_reading(&self) {
        self.reading_stopped.store(true, Ordering::Release);
    }

    pub(super) fn is_reading_stopped(&self) -> bool {
        self.reading_stopped.load(Ordering::Acquire)
    }

    /// Tears the transport down: the queued bytes are dropped.
    pub(super) fn abort(&self) {
        self.aborted.store(true, Ordering::Release);
        if let Some(writer) = self.writer.lock().take() {
            writer.wake();
        }
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }

    /// Lets an abort wake this task, which waits to write. False if the connection was aborted already.
    pub(super) fn wait_for_abort(&self, cx: &Context<'_>) -> bool {
        *self.writer.lock() = Some(cx.waker().clone());
        !self.is_aborted()
    }

    /// Claims the right to read a POST; `None` while another POST is being read.
    pub(super) fn begin_post(self: &Arc<Self>) -> Option<Claim> {
        Claim::take(self, |wire| &wire.posting)
    }

    /// Claims the right to answer a poll; `None` while another answer is being written.
    pub(super) fn begin_answer(self: &Arc<Self>) -> Option<Claim> {
        Claim::take(self, |wire| &wire.answering)
    }
}

/// A right that only one request of a connection has at a time, until it is dropped.
pub(super) struct Claim {
    wire: Arc<Wire>,
    flag: fn(&Wire) -> &AtomicBool,
}

impl Claim {
    fn take(wire: &Arc<Wire>, flag: fn(&Wire) -> &AtomicBool) -> Option<Self> {
        let free = !flag(wire).swap(true, Ordering::AcqRel);
        free.then(|| Self { wire: Arc::clone(wire), flag })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        (self.flag)(&self.wire).store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(queue_bytes: u64) -> Arc<Wire> {
        Wire::new(Arc::new(WireLimits { queue_bytes, stragglers: Stragglers::default() }))
    }

    #[test]
    fn a_queue_is_bounded_in_bytes_and_a_lone_frame_passes() {
        let wire = wire(100);
        assert!(wire.has_room(1_000));
        wire.queued(60);
        assert!(wire.has_room(40) && !wire.has_room(41));
        wire.wrote(60);
        assert!(wire.has_room(1_000) && wire.waiting() == 0);
    }

    #[test]
    fn one_post_at_a_time() {
        let wire = wire(100);
        let claim = wire.begin_post().unwrap();
        assert!(wire.begin_post().is_none() && wire.begin_answer().is_some());
        drop(claim);
        assert!(wire.begin_post().is_some());
    }
}
