//! The gateway's side of the seam: it accepts connections, and receives their packets.

use std::sync::Arc;

use crate::{CloseReason, Handshake, Inbound, Outbox};

/// What admission gives a handshake, and the engine passes on.
pub trait Permit: Send + Sync + 'static {}

impl<P: Send + Sync + 'static> Permit for P {}

/// Takes new connections.
pub trait Accept<P: Permit>: Send + Sync + 'static {
    /// A connection has opened. Frames sent to `outbox` from now on reach the client.
    fn open(&self, handshake: Handshake, permit: Option<P>, outbox: Outbox) -> Arc<dyn Session>;
}

/// One connection, as its engine calls it: one call at a time, in the order of the client's packets, nothing after
/// [`Session::closed`]. No call waits: the transport's reader makes it.
pub trait Session: Send + Sync + 'static {
    /// A packet has arrived. Its message had `bytes` bytes of text; binary parts were reported before.
    fn receive(self: Arc<Self>, packet: &Inbound<&str>, bytes: usize);

    /// A message of `bytes` bytes has arrived that completes no packet: a binary part, or a packet that is ignored.
    fn receive_part(self: Arc<Self>, bytes: usize);

    /// The transport is gone. Called exactly once.
    fn closed(self: Arc<Self>, reason: CloseReason);
}
