//! The engine: Engine.IO and Socket.IO over HTTP. It turns connections into a [`Session`] and an [`Outbox`] each.
//!
//! [`Handshake`]: what a request asks for · [`Accept`], [`Session`]: who takes connections, and who receives from one ·
//! [`Inbound`]: a client's packet · [`Frame`]: a packet for clients, encoded once for all recipients · [`Outbox`]: a
//! connection's bounded queue; a full queue is reported to the sender, never a silent loss · [`CloseReason`].
//!
//! Engines: [`oxide`], over socketioxide's own lower half, whose names stay in that folder; and [`testing`], without any
//! transport. Deliberately knows no users, rooms, Redis, nor the node that it serves.

mod accept;
mod close_reason;
mod frame;
mod handshake;
mod inbound;
mod outbox;
pub mod oxide;
mod parts;
pub mod testing;

use std::time::Duration;

pub use self::{
    accept::{Accept, Permit, Session},
    close_reason::CloseReason,
    frame::{Frame, event_content},
    handshake::{Handshake, Transport},
    inbound::{Excess, Inbound, Packet, event_name},
    outbox::{Full, Outbox},
    parts::Parts,
};

/// Protocol limits for clients.
#[derive(Debug, Clone, Copy)]
pub struct EngineLimits {
    /// Time between two pings.
    pub ping_interval: Duration,
    /// A connection that does not answer a ping within this time is closed.
    pub ping_timeout: Duration,
    /// Frames in a connection's queue; 0 for any number.
    pub queue: usize,
    /// Bytes in a connection's queue.
    pub queue_bytes: usize,
    /// How long bytes may wait in a connection's queue while many do; zero for any time.
    pub queue_age: Duration,
    /// Bytes of one message; a longer one closes the connection.
    pub max_message: usize,
    /// Bytes of one event; 0 for any number.
    pub payload: usize,
    /// Binary parts of one event.
    pub attachments: usize,
    /// Bytes of the longest configured namespace.
    pub longest_namespace: usize,
}
