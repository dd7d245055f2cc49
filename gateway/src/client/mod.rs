//! A connection and its sockets: authentication, the ordered queue, limits, and the end.
//!
//! One Engine.IO connection is a [`Connection`] and, once a token was accepted, one session; each namespace it is in is
//! a [`Client`], and each feed it reads a [`Reader`], which is no part of the session. Guarantees: what a connection sends
//! is handled one after the other, in order; nothing reaches a socket before its CONNECT was answered, and nothing it
//! sends in that instant is lost.

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
