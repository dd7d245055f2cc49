//! The interface that the gateway implements: it accepts connections, and receives their packets.

use std::sync::Arc;

use crate::{CloseReason, Handshake, Inbound, Outbox};

/// A permit that admission gives a handshake, and that the engine passes to the connection.
pub trait Permit: Send + Sync + 'static {}

impl<P: Send + Sync + 'static> Permit for P {}

/// Accepts new connections.
pub trait Accept<P: Permit>: Send + Sync + 'static {
    /// A connection has opened. Frames sent to `outbox` from now on reach the client.
    fn open(&self, handshake: Handshake, permit: Option<P>, outbox: Outbox) -> Arc<dyn Session>;
}

/// One connection, as its engine calls it: one call at a time, in the order of the client's packets, none after
/// [`Session::closed`]. Calls must not wait, because the transport's reader makes them.
pub trait Session: Send + Sync + 'static {
    /// A packet has arrived. Its message had `bytes` bytes of text; binary parts were reported before.
    fn receive(self: Arc<Self>, packet: &Inbound<&str>, bytes: usize);

    /// A message of `bytes` bytes has arrived that completes no packet: a binary part, or a packet that the engine
    /// drops.
    fn receive_part(self: Arc<Self>, bytes: usize);

    /// The transport has ended. Called exactly once.
    fn closed(self: Arc<Self>, reason: CloseReason);
}
