//! Turns the engine's connections into this layer's [`Connection`]s.

use std::sync::Arc;

use jackfield_engine::{Accept, CloseReason, Handshake, Inbound, Outbox, Session};

use super::{Connection, Shared};
use crate::limits::PendingPermit;

/// Accepts the connections of a node.
pub(crate) struct Acceptor(pub(crate) Arc<Shared>);

impl Accept<Arc<PendingPermit>> for Acceptor {
    fn open(&self, handshake: Handshake, permit: Option<Arc<PendingPermit>>, outbox: Outbox) -> Arc<dyn Session> {
        Connection::open(&self.0, outbox, handshake.token, permit)
    }
}

impl Session for Connection {
    fn receive(self: Arc<Self>, packet: &Inbound<&str>, bytes: usize) {
        Connection::receive(&self, packet, bytes);
    }

    fn receive_part(self: Arc<Self>, bytes: usize) {
        Connection::receive_part(&self, bytes);
    }

    fn closed(self: Arc<Self>, reason: CloseReason) {
        Connection::closed(&self, reason);
    }
}
