//! A connection's way out: a queue of frames that is bounded in number and in bytes, and the end of the transport.

use std::{collections::VecDeque, sync::Arc};

use engineioxide::{DisconnectReason, Socket};
use engineioxide_core::TransportType;
use tokio::sync::mpsc::error::TrySendError;

use super::{Frame, oxide::SocketData, wire::Wire, writes::Writes};

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

    /// Bytes that wait for the client.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.0.data.wire().map_or(0, Wire::waiting)
    }

    /// Whether [`Outbox::close`] leaves nothing behind of what is queued. A WebSocket writes it all before it ends; a
    /// polling client may yet have to come for it.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        match self.0.transport_type() {
            TransportType::Websocket => true,
            TransportType::Polling => self.waiting() == 0 || self.0.is_closed(),
        }
    }

    /// A namespace let the client in: it may send as much as clients may.
    pub fn admitted(&self) {
        if let Some(wire) = self.0.data.wire() {
            wire.admitted();
        }
    }

    /// Whether a namespace ever let the client in.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        self.0.data.wire().is_some_and(Wire::is_admitted)
    }

    /// Where what is written to it can be seen, while it has a WebSocket and traces are recorded.
    pub(super) fn writes(&self) -> Option<&Writes> {
        let writes = self.0.data.wire()?.writes.as_deref()?;
        (self.0.transport_type() == TransportType::Websocket).then_some(writes)
    }

    /// Ends the transport after what is queued, which must leave within seconds. A stock client comes back by itself,
    /// unless it was sent a [`Frame::disconnect`] before.
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

    /// Ends the transport at once: what is queued is dropped.
    pub fn abort(&self) {
        if let Some(wire) = self.0.data.wire() {
            wire.abort();
        }
        self.0.close(DisconnectReason::ClosingServer);
    }
}
