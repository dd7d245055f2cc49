//! The engine's copy of a request, in memory of its own.
//!
//! A connection lives long and keeps the request that it began with. Headers and URI are slices of HTTP's read buffer,
//! so keeping one keeps all 16 KB of it: copy the parts that matter and drop the rest.

use std::sync::Arc;

use axum::http::{HeaderValue, Request, Uri, header::CONTENT_TYPE, request::Parts};
use engineioxide_core::Sid;

use crate::{client::handshake_token, limits::Place};

/// The token of a handshake, as an extension of the engine's request.
#[derive(Clone)]
pub(super) struct HandshakeToken(pub(super) Box<str>);

/// The parts of the query that Engine.IO reads.
const QUERY: [&str; 4] = ["EIO=", "transport=", "sid=", "b64="];

/// A request for the engine that shares no buffer with `parts`. One with a `sid` gets no token: its session has it.
pub(super) fn own<B>(parts: &Parts, body: B) -> Request<B> {
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = uri(parts);
    if let Some(place) = parts.extensions.get::<Arc<Place>>() {
        request.extensions_mut().insert(Arc::clone(place));
    }
    if !has(parts, "sid=")
        && let Some(token) = handshake_token(parts)
    {
        request.extensions_mut().insert(HandshakeToken(token));
    }
    request
}

/// As [`own`], plus the content type of a polling request.
pub(super) fn polling(parts: &Parts) -> Request<()> {
    let mut request = own(parts, ());
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| HeaderValue::from_bytes(kind.as_bytes()).ok());
    if let Some(kind) = kind {
        request.headers_mut().insert(CONTENT_TYPE, kind);
    }
    request
}

/// The id of the socket that a request is for, if it names one.
pub(super) fn socket_id(parts: &Parts) -> Option<Sid> {
    parts.uri.query()?.split('&').find_map(|pair| pair.strip_prefix("sid="))?.parse().ok()
}

/// Whether the query has this part.
pub(super) fn has(parts: &Parts, part: &str) -> bool {
    parts.uri.query().unwrap_or_default().split('&').any(|pair| pair.starts_with(part))
}

fn uri(parts: &Parts) -> Uri {
    let query = parts.uri.query().unwrap_or_default().split('&');
    let query: Vec<&str> = query.filter(|pair| QUERY.iter().any(|name| pair.starts_with(name))).collect();
    // Parts of a valid URI make a valid one; otherwise the engine refuses the default URI.
    Uri::try_from(format!("{}/?{}", super::oxide::PATH, query.join("&"))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_matters_is_kept() {
        let request = Request::get("/socket.io/?EIO=4&transport=polling&token=secret&t=abc&sid=xyz")
            .header("cookie", "c")
            .header("content-type", "text/plain")
            .body(())
            .unwrap();
        let kept = polling(&request.into_parts().0);
        assert_eq!(kept.uri(), "/socket.io/?EIO=4&transport=polling&sid=xyz");
        assert_eq!(kept.headers().len(), 1);
        assert!(kept.extensions().get::<HandshakeToken>().is_none());
        let handshake = Request::get("/socket.io/?EIO=4&transport=polling&token=t").body(()).unwrap();
        let kept = polling(&handshake.into_parts().0);
        assert_eq!(&*kept.extensions().get::<HandshakeToken>().unwrap().0, "t");
    }
}
