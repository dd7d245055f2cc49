//! The engine: Engine.IO and Socket.IO over HTTP. It turns each connection into a [`Session`] and an [`Outbox`].
//!
//! [`Handshake`]: the parameters of a request · [`Accept`], [`Session`]: the interface that the gateway implements ·
//! [`Inbound`]: a packet from a client · [`Frame`]: a packet for clients, encoded once for all recipients · [`Outbox`]:
//! a connection's bounded queue, which reports to the sender if it is full · [`CloseReason`] · [`Relay`]: the other
//! processes of a cluster.
//!
//! Engines, chosen by [`EngineKind`]: [`native`], our own; [`oxide`], over the lower half of socketioxide, whose types stay
//! in that folder. And [`testing`], without a transport. Deliberately knows neither users nor rooms, neither Redis nor the node.

mod accept;
mod allowance;
mod answer;
mod body;
mod close_reason;
pub mod conformance;
mod engine;
mod failure;
mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod handshake;
mod inbound;
pub mod native;
mod outbox;
pub mod oxide;
mod packet;
mod parts;
mod relay;
mod stamp;
mod stragglers;
pub mod testing;
mod websocket;

use std::time::Duration;

pub use self::{
    accept::{Accept, Permit, Session},
    close_reason::CloseReason,
    engine::{Engine, EngineKind},
    frame::{Frame, event_content},
    handshake::{Handshake, Transport},
    inbound::{Excess, Inbound, Packet, event_name},
    outbox::{Full, Outbox},
    parts::Parts,
    relay::{Alone, Owner, Relay, unknown_session},
    stamp::stamp,
};

/// Protocol limits for clients.
#[derive(Debug, Clone, Copy)]
pub struct EngineLimits {
    /// Time between two pings.
    pub ping_interval: Duration,
    /// A connection that does not answer a ping within this time is closed.
    pub ping_timeout: Duration,
    /// Frames in a connection's queue; 0 for no limit.
    pub queue: usize,
    /// Bytes in a connection's queue.
    pub queue_bytes: usize,
    /// How long bytes may wait in a connection's queue if many do; zero for no limit.
    pub queue_age: Duration,
    /// Bytes of one message; a longer one closes the connection.
    pub max_message: usize,
    /// Bytes of one event; 0 for no limit.
    pub payload: usize,
    /// Binary parts of one event.
    pub attachments: usize,
    /// Bytes of the longest configured namespace.
    pub longest_namespace: usize,
    /// The content of messages.
    pub messages: Messages,
}

/// The content of Engine.IO's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Messages {
    /// Packets of Socket.IO.
    Packets,
    /// Anything. Each message is passed on undecoded, as an [`Inbound::Event`] without a namespace: its content is the
    /// text, or its only part the binary message.
    Raw,
}
