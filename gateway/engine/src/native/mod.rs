//! Our own engine: Engine.IO 4 over WebSocket and polling, for very many connections, most of them idle.
//!
//! Guarantees: an idle connection over a WebSocket has one small task and no buffer; a frame for many connections is
//! encoded once and copied for none; what is sent to a connection in one turn of the runtime leaves in one write; a
//! connection's memory is bounded, whatever the client sends or does not read.
//!
//! [`engine`] answers requests · [`wire`] is one connection, with its [`queue`] and its [`life`] · [`shard`] is what
//! connections share: the [`heartbeat`], the flush in [`turn`]s, the [`table`] of polling clients · [`reader`] and
//! [`receive`] are the way in · [`polling`] · [`upgrade`] and [`probe`] are the way from polling to a WebSocket.

mod engine;
mod heartbeat;
mod input;
mod life;
mod outbox;
mod polling;
mod probe;
mod queue;
mod reader;
mod receive;
mod shard;
mod sync;
mod table;
mod turn;
mod upgrade;
mod wire;

#[cfg(any(test, fuzzing))]
pub(crate) use self::polling::payload::{Packet, append as append_payload, decode as decode_payload};
pub use self::{engine::Engine, outbox::NativeOutbox};
