//! A connection lives long and keeps the request that it began with; of that it keeps only what is needed.
//!
//! Headers are slices of the read buffer: keeping one keeps all 16 KB. So the few that matter are copied.

use axum::{
    body::Body,
    http::{HeaderValue, Request, header},
};
use hyper::upgrade::OnUpgrade;

use crate::client::TOKEN_HEADERS;

/// What the engine itself reads.
const ENGINE_HEADERS: [&str; 5] =
    ["upgrade", "connection", "sec-websocket-key", "sec-websocket-version", "content-type"];

/// The same request in memory of its own.
pub(super) fn slim(request: Request<Body>) -> Request<Body> {
    let (mut parts, body) = request.into_parts();
    let mut slim = Request::new(body);
    *slim.method_mut() = parts.method;
    // Parsing a copy, because a clone would share the buffer too.
    *slim.uri_mut() = parts.uri.to_string().parse().unwrap_or_default();
    for name in ENGINE_HEADERS.into_iter().chain(TOKEN_HEADERS) {
        if let Some(value) = parts.headers.get(name)
            && let Ok(name) = header::HeaderName::from_bytes(name.as_bytes())
            && let Ok(value) = HeaderValue::from_bytes(value.as_bytes())
        {
            slim.headers_mut().insert(name, value);
        }
    }
    if let Some(upgrade) = parts.extensions.remove::<OnUpgrade>() {
        slim.extensions_mut().insert(upgrade);
    }
    slim
}
