//! The internal route for requests that other nodes pass on: see [`crate::relay`].
//!
//! Admission is not concerned: the connections of these requests were admitted. Compression, CORS and the checks of
//! origins are those of the node that the client reached.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Request, Response},
    routing::any,
};
use jackfield_engine::{Handshake, unknown_session};

use super::NodeEngine;
use crate::{relay, session::Shared};

/// The route, on the internal port.
pub(crate) fn router(shared: &Arc<Shared>, engine: NodeEngine) -> Router {
    Router::new().route(relay::PATH, any(answer)).with_state((Arc::clone(shared), engine))
}

async fn answer(State((shared, engine)): State<(Arc<Shared>, NodeEngine)>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let handshake = Handshake::parse(&parts);
    let is_passed_on = handshake.sid.as_deref().is_some_and(|sid| shared.relay.is_passed_on(&parts.headers, sid));
    if !is_passed_on {
        return unknown_session();
    }
    if let (relay::RELEASE, Some(sid)) = (parts.method.clone(), &handshake.sid) {
        engine.release_poll(sid);
        return Response::new(Body::empty());
    }
    engine.answer_passed_on(Request::from_parts(parts, body), handshake).await
}
