//! A connection's way out: a queue of frames that is bounded in number and in bytes, and the end of the transport.

use std::{collections::VecDeque, sync::Arc};

use engineioxide::{DisconnectReason, Socket};
use engineioxide_core::TransportType;
use tokio::sync::mpsc::error::TrySendError;

use super::{Frame, oxide::SocketData, wire::Wire, writes::Writes};

/// The queue has no room: the client reads more slowly than frames are sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// Cheap to clone; all clones are the same connection.
#[derive(Clone)]
pub struct Outbox(Arc<Socket<SocketData>>);

impl Outbox {
    pub(super) fn new(socket: Arc<Socket<SocketData>>) -> Self {
        Self(socket)
    }

    /// Queues a frame. After the end, frames are dropped, which is no error.
    ///
    /// # Errors
    /// [`Full`]; nothing of the frame was queued.
    pub fn send(&self, frame: &Frame) -> Result<(), Full> {
        let Some(wire) = self.0.data.wire() else { return Ok(()) };
        let bytes = frame.bytes() as u64;
        if !wire.has_room(bytes) {
            return if self.0.is_closed() { Ok(()) } else { Err(Full) };
        }
        wire.queued(bytes);
        match self.hand_over(frame) {
            Ok(()) => {
                if wire.begin_watch() {
                    wire.limits.stragglers.behind(&self.0, wire.totals().0);
                }
                Ok(())
            }
            Err(not_taken) => {
                wire.wrote(bytes);
                match not_taken {
                    TrySendError::Full(()) => Err(Full),
                    TrySendError::Closed(()) => Ok(()),
                }
            }
        }
    }

    fn hand_over(&self, frame: &Frame) -> Result<(), TrySendError<()>> {
        let place = self.0.reserve()?;
        match frame.parts() {
            None => place.emit(frame.text()),
            Some(parts) => place.emit_many(frame.text(), VecDeque::from(parts.all().to_vec())),
        }
        Ok(())
    }

    /// Bytes that are queued for the client and have not left.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.0.data.wire().map_or(0, Wire::waiting)
    }

    /// Whether [`Outbox::close`] would drop nothing of the queue. A WebSocket writes all of it before it ends; a
    /// polling client may still have to fetch it.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        match self.0.transport_type() {
            TransportType::Websocket => true,
            TransportType::Polling => self.waiting() == 0 || self.0.is_closed(),
        }
    }

    /// A namespace admitted the client: it may send as much as clients may.
    pub fn admitted(&self) {
        if let Some(wire) = self.0.data.wire() {
            wire.admitted();
        }
    }

    /// Whether a namespace ever admitted the client.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        self.0.data.wire().is_some_and(Wire::is_admitted)
    }

    /// Records writes to the socket; `None` unless it has a WebSocket and traces are recorded.
    pub(super) fn writes(&self) -> Option<&Writes> {
        let writes = self.0.data.wire()?.writes.as_deref()?;
        (self.0.transport_type() == TransportType::Websocket).then_some(writes)
    }

    /// Ends the transport once a WebSocket has written its queue, within seconds; a polling client loses frames that no
    /// open poll takes. A stock client reconnects by itself, unless it was sent a [`Frame::disconnect`] before.
    pub fn close(&self) {
        if let Some(wire) = self.0.data.wire() {
            wire.limits.stragglers.closing(&self.0);
        }
        self.0.close(DisconnectReason::ClosingServer);
    }

    /// Reads nothing more from a WebSocket, until [`Outbox::abort`] ends the transport.
    pub fn stop_reading(&self) {
        if let Some(wire) = self.0.data.wire() {
            wire.stop_reading();
        }
    }

    /// Ends the transport at once and drops the queue.
    pub fn abort(&self) {
        if let Some(wire) = self.0.data.wire() {
            wire.abort();
        }
        self.0.close(DisconnectReason::ClosingServer);
    }
}
