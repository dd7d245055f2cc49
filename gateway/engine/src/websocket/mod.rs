//! WebSocket, RFC 6455, for an engine with its own sockets: [`handshake`] begins a connection, [`incoming`] turns the
//! client's bytes into messages, [`encode`] writes frames for it.

pub(crate) mod encode;
pub(crate) mod handshake;
pub(crate) mod incoming;
