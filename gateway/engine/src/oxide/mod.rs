//! The engine over socketioxide's own lower half (`engineioxide` and its Socket.IO parser) rather than its `SocketIo`
//! type: that one cannot close a transport without telling the client never to reconnect, exposes the id that controls
//! a polling session, starts a task for each event, and encodes again for every socket.
//!
//! A connection's memory is bounded here: [`wire`] counts the bytes in its queue, [`stragglers`] closes connections
//! whose bytes wait too long, [`stream`], [`post`] and [`decoder`] refuse excessive input on arrival. [`upgrade`] begins
//! WebSockets, [`poll`] answers polls, [`request`] is what the library sees of a request.

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
