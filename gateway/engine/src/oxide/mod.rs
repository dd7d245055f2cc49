//! The engine over the lower half of socketioxide (`engineioxide` and its Socket.IO parser). It does not use the
//! `SocketIo` type, which cannot close a transport without a DISCONNECT packet, exposes the id that controls a polling
//! session, starts a task for each event, and encodes a packet again for every socket.
//!
//! Guarantees: a connection's memory is bounded: [`wire`] counts the bytes in its queue, [`stragglers`] closes
//! connections whose bytes wait too long, [`stream`], [`post`] and [`decoder`] refuse excessive input on arrival.
//! [`upgrade`] begins WebSockets, [`poll`] answers polls, [`request`] makes the library's copy of a request.

mod decoder;
mod engine;
mod failure;
mod outbox;
mod poll;
mod post;
mod request;
mod sent_frames;
mod shared_text;
mod socket_data;
mod stragglers;
mod stream;
mod upgrade;
mod wire;

pub(crate) use self::shared_text::Shared;
pub use self::{engine::Engine, outbox::OxideOutbox};
