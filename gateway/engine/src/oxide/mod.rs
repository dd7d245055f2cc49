//! The engine over the lower half of socketioxide (`engineioxide`). It does not use the
//! `SocketIo` type, which cannot close a transport without a DISCONNECT packet, exposes the id that controls a polling
//! session, starts a task for each event, and encodes a packet again for every socket.
//!
//! Guarantees: a connection's memory is bounded: [`wire`] counts the bytes in its queue, [`crate::stragglers`] closes
//! connections whose bytes wait too long, [`stream`], [`post`] and [`crate::packet`] refuse excessive input on arrival.
//! [`poll`] answers polls, [`request`] makes the library's copy of a request.

mod engine;
mod numeric_codes;
mod outbox;
mod poll;
mod post;
mod request;
mod sent_frames;
mod shared_text;
mod socket_data;
mod stream;
mod wire;

pub(crate) use self::shared_text::Shared;
pub use self::{engine::Engine, outbox::OxideOutbox};
