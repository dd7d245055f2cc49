//! One connection's place in one namespace: what the events see of who sent them.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use jackfield_shared::claims::Identity;
use serde::Serialize;

use super::Connection;
use crate::{
    cluster::{Unavailable, bus::Channel, notice::Notice},
    engine::{Frame, Full, Outbox},
    hub::{MemberKey, Namespace},
    node::Node,
};

/// See the module.
pub struct Client {
    /// Public: others see it, and it gives no power over the connection.
    pub id: Arc<str>,
    /// Where.
    pub namespace: Arc<Namespace>,
    /// Who.
    pub identity: Identity,
    /// The node it is on.
    pub node: Arc<Node>,
    outbox: Outbox,
    connection: Weak<Connection>,
    key: AtomicUsize,
}

impl Client {
    pub(super) fn new(
        id: Arc<str>,
        namespace: Arc<Namespace>,
        identity: Identity,
        node: Arc<Node>,
        outbox: Outbox,
        connection: Weak<Connection>,
    ) -> Self {
        Self { id, namespace, identity, node, outbox, connection, key: AtomicUsize::new(MemberKey::MAX) }
    }

    /// The connection's queue.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// This socket's place among the namespace's members.
    #[must_use]
    pub fn key(&self) -> MemberKey {
        self.key.load(Ordering::Acquire)
    }

    pub(super) fn joined(&self, key: MemberKey) {
        self.key.store(key, Ordering::Release);
    }

    /// Sends a frame; a client that has no room for it is too slow and is closed.
    pub fn send(&self, frame: &Frame) {
        if self.outbox.send(frame) == Err(Full) {
            self.too_slow();
        }
    }

    /// Sends an event to this socket alone.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, data: &T) {
        if let Some(frame) = Frame::event(&self.namespace.name, event, data) {
            self.send(&frame);
        }
    }

    /// Sends an event to everybody in this socket's namespace, on every node. It takes the way over the bus to this
    /// node's own members too, so that all hear one order.
    ///
    /// # Errors
    /// [`Unavailable`] when it is not known whether it was sent.
    pub async fn broadcast<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Result<(), Unavailable> {
        let name = &self.namespace.name;
        let frame = Frame::event(name, event, data).ok_or(Unavailable)?;
        let notice = Notice::Frame(Bytes::copy_from_slice(frame.as_bytes()));
        self.node.cluster.bus.publish(&Channel::Namespace(Arc::clone(name)), notice.encode()).await
    }

    /// The user showed another token: the session lasts until the later end of the two, which is returned.
    #[must_use]
    pub fn renew(&self, expires_at: u64) -> u64 {
        self.connection.upgrade().map_or(expires_at, |connection| connection.renew(expires_at))
    }

    /// Its queue is full: the transport is closed, so that the client comes back by itself, and it is out of every
    /// namespace at once, however long the transport takes to die.
    pub fn too_slow(&self) {
        if let Some(connection) = self.connection.upgrade() {
            tracing::info!(socket = %self.id, "closing a client that does not read as fast as it is sent to");
            connection.close();
        }
    }
}
