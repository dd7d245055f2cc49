//! A connection and its sockets: authentication, the ordered queue, limits, and the end.
//!
//! One Engine.IO connection is a [`Connection`] and, once a token was accepted, one session; each namespace it is in is
//! a [`Client`]. Guarantees: what a connection sends is handled one after the other, in order; nothing reaches a socket
//! before its CONNECT was answered, and nothing it sends in that instant is lost.

mod connect;
mod connection;
mod inbox;
mod limiter;
mod session;
mod socket;
mod token;
mod validity;

pub use self::{
    connection::Connection,
    limiter::{FloodLimits, TokenBucket},
    socket::Client,
    token::handshake_token,
};
