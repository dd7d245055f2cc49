//! The library's copy of a request, in memory of its own.
//!
//! A connection keeps the request that it began with. Headers and URI are slices of HTTP's read buffer, so keeping one
//! would keep all 16 KB of it. So the copy contains only what the [`Handshake`] contains.

use axum::http::{HeaderValue, Method, Request, Uri, header::CONTENT_TYPE, request::Parts};
use engineioxide_core::Sid;

use crate::{Handshake, Transport};

/// The path at which the library serves Engine.IO, whatever path clients use.
pub(super) const PATH: &str = "/socket.io";

/// A request for the library that shares no buffer with the client's.
pub(super) fn own<B>(method: Method, handshake: &Handshake, body: B) -> Request<B> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri(handshake);
    request
}

/// Like [`own`], for a polling request: keeps its content type.
pub(super) fn polling<B>(parts: &Parts, handshake: &Handshake, body: B) -> Request<B> {
    let mut request = own(parts.method.clone(), handshake, body);
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| HeaderValue::from_bytes(kind.as_bytes()).ok());
    if let Some(kind) = kind {
        request.headers_mut().insert(CONTENT_TYPE, kind);
    }
    request
}

/// The id of the socket that a request belongs to; `None` if the id is not one of the library's.
pub(super) fn socket_id(handshake: &Handshake) -> Option<Sid> {
    handshake.sid.as_deref()?.parse().ok()
}

/// Built only from what the gateway has parsed, so that the library never understands a request differently.
fn uri(handshake: &Handshake) -> Uri {
    let version = if handshake.is_version_4 { "4" } else { "" };
    let transport = match handshake.transport {
        Some(Transport::Polling) => "polling",
        Some(Transport::WebSocket) => "websocket",
        None => "",
    };
    let mut uri = format!("{PATH}/?EIO={version}&transport={transport}");
    if handshake.sid.is_some() {
        uri += "&sid=";
        uri += &socket_id(handshake).map_or_else(|| "unknown".to_owned(), |id| id.to_string());
    }
    // It contains plain ASCII only, so it is always valid.
    Uri::try_from(uri).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(uri: &str) -> Request<()> {
        let request = Request::get(uri).header("cookie", "c").header("content-type", "text/plain").body(()).unwrap();
        let parts = request.into_parts().0;
        polling(&parts, &Handshake::parse(&parts), ())
    }

    #[test]
    fn only_the_parsed_parameters_are_kept() {
        let id = Sid::new();
        let request = kept(&format!("/socket.io/?t=abc&sid={id}&token=secret&EIO=4&transport=polling"));
        assert_eq!(*request.uri(), *format!("/socket.io/?EIO=4&transport=polling&sid={id}"));
        assert_eq!(request.headers().len(), 1);
        let encoded = kept("/socket.io/?EIO=4&transport=polling&s%69d=a%26b");
        assert_eq!(encoded.uri(), "/socket.io/?EIO=4&transport=polling&sid=unknown");
    }
}
