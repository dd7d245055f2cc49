//! Receives the packets of a POST.
//!
//! Guarantees: a body that is too long is refused as soon as that is known; a body that does not arrive in time is
//! abandoned, and so is one whose connection ends; one body per connection is read at a time, and none twice; until a namespace admits it, a client may send at most what
//! its [`crate::allowance`] permits. A body that breaks these rules, or is not a valid payload, ends the connection.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{Request, Response},
};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::{Kind, poll::text};
use crate::{CloseReason, body, failure::Failure, native::wire::Wire, stamp};

/// The answer to a POST.
const OK: &str = "ok";

/// The right to read a POST.
struct Post<'a> {
    wire: &'a Arc<Wire>,
    /// Cancelled once the connection ends.
    over: CancellationToken,
}

/// Reads the body and passes its packets on.
pub(in crate::native) async fn receive(wire: &Arc<Wire>, request: Request<Body>) -> Response<Body> {
    let received = match read(wire, request).await {
        Ok(body) => wire.receive_payload(super::payload::decode(&body)),
        Err(failure) => Err(failure),
    };
    match received {
        Ok(()) => text(Body::from(OK), OK.len()),
        Err(failure) => {
            // After a switch to a WebSocket, a late POST is of no importance.
            if wire.is_polling() {
                wire.end(CloseReason::ProtocolError);
            }
            failure.response()
        }
    }
}

async fn read(wire: &Arc<Wire>, request: Request<Body>) -> Result<Bytes, Failure> {
    let post = Post::begin(wire, stamp(request.uri())).ok_or(Failure::BadRequest)?;
    let max = wire.allowance.may_still_read(wire.shard.limits.max_message);
    let body = body::read(request, max, post.over.cancelled()).await?;
    match wire.allowance.may_read(body.len()) {
        true => Ok(body),
        false => Err(Failure::TooLarge),
    }
}

impl<'a> Post<'a> {
    fn begin(wire: &'a Arc<Wire>, stamp: Option<Box<str>>) -> Option<Self> {
        let mut state = wire.state();
        let polling = state.polling.as_mut()?;
        let is_new = !polling.is_repeated(Kind::Post, stamp);
        let is_free = is_new && !std::mem::replace(&mut polling.posted, true);
        is_free.then(|| Self { wire, over: polling.over.clone() })
    }
}

impl Drop for Post<'_> {
    fn drop(&mut self) {
        if let Some(polling) = &mut self.wire.state().polling {
            polling.posted = false;
        }
    }
}
