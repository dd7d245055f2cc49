//! The interface to the other processes of a cluster, which have connections of their own.
//!
//! A load balancer may send each request of a connection with polling to another process. An engine asks its [`Relay`]
//! about every request whose connection it does not have.

use axum::{
    body::Body,
    http::{Request, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::BoxFuture;

use crate::{Transport, failure::Failure};

/// The process that an id of a connection belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// This process. If it does not have the connection, the connection has ended.
    Own,
    /// Another process.
    Other,
    /// No process: the id is not genuine.
    Nobody,
}

/// Makes the ids of connections, and reaches the processes that have the others.
pub trait Relay: Send + Sync + 'static {
    /// The id of a new connection, which cannot be guessed: letters, digits, `-`, `_` and `.`.
    fn new_sid(&self) -> Box<str>;

    /// The process that an id belongs to, whatever a client sent as the id.
    fn owner(&self, sid: &str) -> Owner;

    /// Answers a request, whose id belongs to [`Owner::Other`], with the answer of that process. Dropping the future,
    /// or the answer's body, aborts the request there.
    fn pass_on(
        &self,
        transport: Transport,
        sid: Box<str>,
        request: Request<Body>,
    ) -> BoxFuture<'static, Response<Body>>;
}

/// The answer to a request whose connection does not exist, or cannot be reached. The stock client then connects anew.
#[must_use]
pub fn unknown_session() -> Response<Body> {
    Failure::UnknownSession.response()
}

/// The only process of its cluster.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

/// Bytes of an id, all of them random.
const RANDOM: usize = 15;
/// Characters of an id, each of which holds 6 bits.
const LENGTH: usize = RANDOM / 3 * 4;

impl Relay for Alone {
    fn new_sid(&self) -> Box<str> {
        URL_SAFE_NO_PAD.encode(rand::random::<[u8; RANDOM]>()).into()
    }

    fn owner(&self, sid: &str) -> Owner {
        if sid.len() == LENGTH { Owner::Own } else { Owner::Nobody }
    }

    fn pass_on(&self, _: Transport, _: Box<str>, _: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        Box::pin(async { unknown_session() })
    }
}
