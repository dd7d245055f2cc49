//! The queue of one of the library's sockets, bounded in frames by the library and in bytes by its [`Wire`].

use std::{collections::VecDeque, sync::Arc};

use engineioxide::{DisconnectReason, Socket};
use engineioxide_core::TransportType;
use tokio::sync::mpsc::error::TrySendError;

use super::{socket_data::SocketData, wire::Wire};
use crate::{CloseReason, Frame, Full};

/// See the module.
#[derive(Clone)]
pub struct OxideOutbox(Arc<Socket<SocketData>>);

impl OxideOutbox {
    pub(super) fn new(socket: Arc<Socket<SocketData>>) -> Self {
        Self(socket)
    }

    pub(crate) fn send(&self, frame: &Frame) -> Result<(), Full> {
        let Some(wire) = self.0.data.wire() else { return Ok(()) };
        let bytes = frame.bytes() as u64;
        if !wire.has_room(bytes) {
            return if self.0.is_closed() { Ok(()) } else { Err(Full) };
        }
        wire.queued(bytes);
        match self.enqueue(frame) {
            Ok(()) => {
                if wire.begin_watch() {
                    wire.limits.stragglers.behind(&self.0, wire.totals().0);
                }
                Ok(())
            }
            Err(rejected) => {
                wire.wrote(bytes);
                match rejected {
                    TrySendError::Full(()) => Err(Full),
                    TrySendError::Closed(()) => Ok(()),
                }
            }
        }
    }

    fn enqueue(&self, frame: &Frame) -> Result<(), TrySendError<()>> {
        let place = self.0.reserve()?;
        match frame.parts() {
            None => place.emit(frame.for_oxide().text(frame)),
            Some(parts) if frame.packet().is_empty() => place.emit_binary(parts.all().concat().into()),
            Some(parts) => place.emit_many(frame.for_oxide().text(frame), VecDeque::from(parts.all().to_vec())),
        }
        Ok(())
    }

    pub(crate) fn waiting(&self) -> u64 {
        self.0.data.wire().map_or(0, Wire::waiting)
    }

    pub(crate) fn is_flushed(&self) -> bool {
        match self.0.transport_type() {
            TransportType::Websocket => true,
            TransportType::Polling => self.waiting() == 0 || self.0.is_closed(),
        }
    }

    pub(crate) fn admitted(&self) {
        if let Some(wire) = self.0.data.wire() {
            wire.allowance.admitted();
        }
    }

    pub(crate) fn is_admitted(&self) -> bool {
        self.0.data.wire().is_some_and(|wire| wire.allowance.is_admitted())
    }

    pub(crate) fn close(&self, reason: CloseReason) {
        self.0.data.closing(reason);
        if let Some(wire) = self.0.data.wire() {
            wire.limits.stragglers.closing(&self.0);
        }
        self.0.close(DisconnectReason::ClosingServer);
    }

    pub(crate) fn abort(&self, reason: CloseReason) {
        self.0.data.abort(&self.0, reason);
    }

    pub(crate) fn stop_reading(&self) {
        if let Some(wire) = self.0.data.wire() {
            wire.stop_reading();
        }
    }
}
