//! A connection's way out: a bounded queue of frames, and the end of the transport.

use std::sync::Arc;

use engineioxide::{DisconnectReason, Socket};
use tokio::sync::mpsc::error::TrySendError;

use super::{Frame, oxide::SocketData};

/// The queue has no room: the client does not read as fast as it is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// Cheap to clone; all clones are the same connection.
#[derive(Clone)]
pub struct Outbox(Arc<Socket<SocketData>>);

impl Outbox {
    pub(super) fn new(socket: Arc<Socket<SocketData>>) -> Self {
        Self(socket)
    }

    /// Queues a frame. What is sent after the end goes nowhere, and that is no error.
    ///
    /// # Errors
    /// [`Full`]; nothing of the frame was queued.
    pub fn send(&self, frame: &Frame) -> Result<(), Full> {
        match self.0.emit(frame.text()) {
            Err(TrySendError::Full(_)) => Err(Full),
            Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
        }
    }

    /// Ends the transport after what is queued. A stock client comes back by itself, unless it was sent a
    /// [`Frame::disconnect`] before.
    pub fn close(&self) {
        self.0.close(DisconnectReason::ClosingServer);
    }
}
