//! State that a connection's transport and its queue share: bytes that wait, bytes that may still be read from a client
//! that no namespace has admitted, and whether to tear the transport down.
//!
//! The library takes frames into a queue of its own and does not report when it wrote them. [`OxideOutbox`] counts
//! the bytes handed over; the [stream](super::stream) and the [polls](super::poll) count those that left. Guarantee:
//! [`Wire::waiting`] is never less than the bytes that the library still holds, frames of the protocol itself aside.
//!
//! [`OxideOutbox`]: super::OxideOutbox

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Waker},
};

use parking_lot::Mutex;

use super::stragglers::Stragglers;

/// Bytes that a connection may send before its first CONNECT.
const BEFORE_CONNECT: u32 = 16 * 1024;
/// Bytes that a connection may send until a namespace admits it: enough for some CONNECTs with long tokens.
const BEFORE_ADMISSION: u32 = 64 * 1024;
/// A connection with more than this many bytes waiting is watched: see [`Stragglers`].
pub(super) const BEHIND: u64 = 64 * 1024;

/// Limits and state that all wires of an engine share.
pub(super) struct WireLimits {
    /// Bytes that may wait for one connection.
    pub(super) queue_bytes: u64,
    pub(super) stragglers: Stragglers,
}

/// See the module.
pub(super) struct Wire {
    pub(super) limits: Arc<WireLimits>,
    queued: AtomicU64,
    written: AtomicU64,
    /// Bytes read, until the connection is admitted.
    read: AtomicU32,
    connect_seen: AtomicBool,
    admitted: AtomicBool,
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
            read: AtomicU32::new(0),
            connect_seen: AtomicBool::new(false),
            admitted: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            aborted: AtomicBool::new(false),
            reading_stopped: AtomicBool::new(false),
            posting: AtomicBool::new(false),
            answering: AtomicBool::new(false),
            writer: Mutex::default(),
        })
    }

    /// Whether a frame of this many bytes may be queued. It always may if nothing else waits.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        let waiting = self.waiting();
        waiting == 0 || waiting.saturating_add(bytes) <= self.limits.queue_bytes
    }

    /// Counts a queued frame. Call it before the library has the frame, so that no write is counted first.
    pub(super) fn queued(&self, bytes: u64) {
        self.queued.fetch_add(bytes, Ordering::AcqRel);
    }

    pub(super) fn wrote(&self, bytes: u64) {
        self.written.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Bytes that were queued and have not left.
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

    /// The client sent a CONNECT.
    pub(super) fn connect_seen(&self) {
        self.connect_seen.store(true, Ordering::Release);
    }

    /// A namespace admitted the connection.
    pub(super) fn admitted(&self) {
        self.admitted.store(true, Ordering::Release);
    }

    pub(super) fn is_admitted(&self) -> bool {
        self.admitted.load(Ordering::Acquire)
    }

    /// Counts received bytes. False if a connection that no namespace has admitted has sent more than it may.
    pub(super) fn may_read(&self, bytes: usize) -> bool {
        if self.is_admitted() {
            return true;
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let read = self.read.fetch_add(bytes, Ordering::AcqRel).saturating_add(bytes);
        read <= self.unread_limit()
    }

    /// Bytes that the connection may still send in one message, at most `max`.
    pub(super) fn may_still_read(&self, max: usize) -> usize {
        match self.is_admitted() {
            true => max,
            false => max.min(self.unread_limit().saturating_sub(self.read.load(Ordering::Acquire)) as usize),
        }
    }

    fn unread_limit(&self) -> u32 {
        if self.connect_seen.load(Ordering::Acquire) { BEFORE_ADMISSION } else { BEFORE_CONNECT }
    }

    /// Reads nothing more from a WebSocket that is about to be cut off; its queue is still written. A polling client's
    /// POSTs are still read, one at a time.
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

    /// Lets an abort wake this task, whose socket accepts no more bytes. False if it was aborted already.
    pub(super) fn wait_for_abort(&self, cx: &Context<'_>) -> bool {
        *self.writer.lock() = Some(cx.waker().clone());
        !self.is_aborted()
    }

    /// Claims the right to read a POST; `None` while another is being read.
    pub(super) fn begin_post(self: &Arc<Self>) -> Option<Claim> {
        Claim::take(self, |wire| &wire.posting)
    }

    /// Claims the right to answer a poll; `None` while another answer is being written.
    pub(super) fn begin_answer(self: &Arc<Self>) -> Option<Claim> {
        Claim::take(self, |wire| &wire.answering)
    }
}

/// A right that only one request of a connection holds at a time, until it is dropped.
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
    fn little_is_read_before_a_connect_and_more_until_admission() {
        let wire = wire(100);
        assert!(wire.may_read(16 * 1024) && !wire.may_read(1));
        wire.connect_seen();
        assert_eq!(wire.may_still_read(1_000_000), 48 * 1024 - 1);
        assert!(wire.may_read(48 * 1024 - 1) && !wire.may_read(1));
        wire.admitted();
        assert!(wire.may_read(1_000_000) && wire.may_still_read(1_000_000) == 1_000_000);
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
