//! A connection's way out: a bounded queue of frames, and the end of the transport.

use std::sync::Arc;

use engineioxide::{DisconnectReason, Socket};
use engineioxide_core::TransportType;
use tokio::sync::mpsc::error::TrySendError;

use super::{Frame, oxide::SocketData, writes::Writes};

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

    /// Whether [`Outbox::close`] leaves nothing behind of what is queued, in a queue of this capacity. A WebSocket writes
    /// it all before it ends; a polling client may yet have to come for it. While this looks, the queue seems full.
    #[must_use]
    pub fn is_flushed(&self, capacity: usize) -> bool {
        match self.0.transport_type() {
            TransportType::Websocket => true,
            // The library does not say how much waits, but how many more it would take.
            TransportType::Polling => {
                let free: Vec<_> = (0..capacity).map_while(|_| self.0.reserve().ok()).collect();
                free.len() == capacity || self.0.is_closed()
            }
        }
    }

    /// Where what is written to it can be seen, while it has a WebSocket and traces are recorded.
    pub(super) fn writes(&self) -> Option<&Writes> {
        let writes = self.0.data.writes.get()?;
        (self.0.transport_type() == TransportType::Websocket).then_some(&**writes)
    }

    /// Ends the transport after what is queued. A stock client comes back by itself, unless it was sent a
    /// [`Frame::disconnect`] before.
    pub fn close(&self) {
        self.0.close(DisconnectReason::ClosingServer);
    }
}
