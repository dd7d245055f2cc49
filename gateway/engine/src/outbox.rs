//! A connection's queue of frames, bounded in number and in bytes, and the end of its transport.
//!
//! Guarantees of every engine: frames of one outbox are sent in the order of [`Outbox::send`]; [`Full`] queued nothing;
//! a closed connection's session gets [`crate::Session::closed`] with the first reason that was given.

use crate::{CloseReason, Frame, native::NativeOutbox, oxide::OxideOutbox, testing::TestOutbox};

/// The queue has no room: the client reads more slowly than frames are sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// Cheap to clone; all clones are the same connection.
#[derive(Clone)]
pub enum Outbox {
    /// A client of [`crate::native`].
    Native(NativeOutbox),
    /// A client of [`crate::oxide`].
    Oxide(OxideOutbox),
    /// A client of [`crate::testing`].
    Test(TestOutbox),
}

impl Outbox {
    /// Queues a frame. After the end of the transport, drops it without an error.
    ///
    /// # Errors
    /// [`Full`]: nothing of the frame was queued.
    pub fn send(&self, frame: &Frame) -> Result<(), Full> {
        match self {
            Self::Native(outbox) => outbox.send(frame),
            Self::Oxide(outbox) => outbox.send(frame),
            Self::Test(outbox) => outbox.send(frame),
        }
    }

    /// Bytes that are queued for the client and not written yet.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        match self {
            Self::Native(outbox) => outbox.waiting(),
            Self::Oxide(outbox) => outbox.waiting(),
            Self::Test(outbox) => outbox.waiting(),
        }
    }

    /// Whether [`Outbox::close`] would drop no queued frame. A WebSocket writes its queue before it ends; a polling
    /// client must fetch it first.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        match self {
            Self::Native(outbox) => outbox.is_flushed(),
            Self::Oxide(outbox) => outbox.is_flushed(),
            Self::Test(_) => true,
        }
    }

    /// A namespace has admitted the client: lifts the limit on the bytes that it may send before that.
    pub fn admitted(&self) {
        match self {
            Self::Native(outbox) => outbox.admitted(),
            Self::Oxide(outbox) => outbox.admitted(),
            Self::Test(outbox) => outbox.admitted(),
        }
    }

    /// Whether a namespace has ever admitted the client.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        match self {
            Self::Native(outbox) => outbox.is_admitted(),
            Self::Oxide(outbox) => outbox.is_admitted(),
            Self::Test(outbox) => outbox.is_admitted(),
        }
    }

    /// Ends the transport. A WebSocket writes its queue first, for at most some seconds; a polling client loses the
    /// frames that no open poll can take. A stock client reconnects by itself, unless it was sent a
    /// [`Frame::disconnect`] before.
    pub fn close(&self, reason: CloseReason) {
        match self {
            Self::Native(outbox) => outbox.close(reason),
            Self::Oxide(outbox) => outbox.close(reason),
            Self::Test(outbox) => outbox.close(reason),
        }
    }

    /// Ends the transport at once and drops the queue.
    pub fn abort(&self, reason: CloseReason) {
        match self {
            Self::Native(outbox) => outbox.abort(reason),
            Self::Oxide(outbox) => outbox.abort(reason),
            Self::Test(outbox) => outbox.close(reason),
        }
    }

    /// Stops reading from a WebSocket that [`Outbox::abort`] will end.
    pub fn stop_reading(&self) {
        match self {
            Self::Native(outbox) => outbox.stop_reading(),
            Self::Oxide(outbox) => outbox.stop_reading(),
            Self::Test(_) => {}
        }
    }
}
