//! The data of each socket of the library: its session, its decoder and its wire.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use engineioxide::{DisconnectReason, Socket};
use parking_lot::Mutex;

use super::wire::Wire;
use crate::{
    CloseReason, Inbound, Session,
    packet::{Decoder, DecoderLimits},
    stragglers::Watched,
};

/// See the module.
#[derive(Default)]
pub(crate) struct SocketData {
    /// Taken out at the end, because session and socket refer to each other.
    session: Mutex<Option<Arc<dyn Session>>>,
    decoder: Mutex<Decoder>,
    wire: OnceLock<Arc<Wire>>,
    /// Set if this side closes the transport.
    reason: OnceLock<CloseReason>,
}

impl SocketData {
    pub(super) fn wire(&self) -> Option<&Wire> {
        self.wire.get().map(|wire| &**wire)
    }

    pub(super) fn shared_wire(&self) -> Option<&Arc<Wire>> {
        self.wire.get()
    }

    /// The library's socket has connected.
    pub(super) fn set_wire(&self, wire: Arc<Wire>) {
        let _ = self.wire.set(wire);
    }

    pub(super) fn begin(&self, session: Arc<dyn Session>) {
        *self.session.lock() = Some(session);
    }

    /// Tears the transport down. The session ends at once, even if that takes long.
    pub(super) fn abort(&self, socket: &Socket<SocketData>, reason: CloseReason) {
        self.closing(reason);
        if let Some(wire) = self.wire() {
            wire.abort();
        }
        socket.close(DisconnectReason::ClosingServer);
        self.close(reason);
    }

    /// Records why this side closes the transport; only the first reason is kept.
    pub(super) fn closing(&self, reason: CloseReason) {
        let _ = self.reason.set(reason);
    }

    /// Reports the end to the session, once.
    pub(super) fn close(&self, reason: CloseReason) {
        let session = self.session.lock().take();
        if let Some(session) = session {
            session.closed(self.reason.get().copied().unwrap_or(reason));
        }
    }

    pub(super) fn receive_text(&self, text: &str, limits: DecoderLimits) {
        let bytes = text.len();
        let Some(session) = self.session() else { return };
        // The lock is free while the packet is handled.
        let decoded = self.decoder.lock().text(text, limits);
        match decoded {
            Some(inbound) => {
                if let (Inbound::Connect { .. }, Some(wire)) = (&inbound, self.wire()) {
                    wire.allowance.connect_seen();
                }
                session.receive(&inbound, bytes);
            }
            None => session.receive_part(bytes),
        }
    }

    pub(super) fn receive_binary(&self, part: &Bytes, limits: DecoderLimits) {
        let Some(session) = self.session() else { return };
        Arc::clone(&session).receive_part(part.len());
        let decoded = self.decoder.lock().binary(part, limits);
        if let Some(inbound) = decoded {
            session.receive(&inbound.borrowed(), 0);
        }
    }

    /// A clone, so that the lock is free: handling a packet may end the session, which takes the lock.
    fn session(&self) -> Option<Arc<dyn Session>> {
        self.session.lock().clone()
    }
}

impl Watched for Socket<SocketData> {
    fn is_ended(&self) -> bool {
        self.is_closed()
    }

    fn totals(&self) -> (u64, u64) {
        self.data.wire().map_or((0, 0), Wire::totals)
    }

    fn caught_up(&self) {
        if let Some(wire) = self.data.wire() {
            wire.end_watch();
        }
    }

    fn too_slow(&self) {
        self.data.abort(self, CloseReason::TooSlow);
    }

    fn tear_down(&self) {
        if let Some(wire) = self.data.wire() {
            wire.abort();
        }
    }
}
