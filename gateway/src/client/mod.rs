//! A connection and its sockets: authentication, the ordered queue, limits, and the end.
//!
//! One Engine.IO connection is a [`Connection`] and, once a namespace accepted a token, one session; each namespace it
//! is in is a [`Client`], and each feed it reads a [`Reader`], which is no part of the session. Guarantees: a
//! connection's packets are handled one after the other, in order; a socket receives nothing before the answer to its
//! CONNECT, and no packet that it sends at that moment is lost.

mod connect;
mod connect_feed;
mod connection;
mod inbox;
mod limiter;
mod reader;
mod readers;
mod receive;
mod renew;
mod send_away;
mod session;
mod socket;
mod token;
mod validity;

pub use self::{connection::Connection, reader::Reader, socket::Client, token::handshake_token};
