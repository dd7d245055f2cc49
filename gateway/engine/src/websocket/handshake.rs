//! The start of a WebSocket: checks the handshake, answers it, and extracts the TCP socket.
//!
//! HTTP passes on an upgraded connection as a boxed stream with a buffer; a WebSocket needs only the TCP socket inside
//! it. Handshakes that RFC 6455 forbids are refused: with 426 for another version of the protocol, else with 400.

use std::time::Duration;

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
        header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE},
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use jackfield_shared::lifecycle::Lifecycle;
use tokio::net::TcpStream;
use tungstenite::handshake::derive_accept_key;

use crate::{Handshake, Transport, failure::Failure};

/// How long HTTP may take to release the stream after the handshake's answer.
const UPGRADE_WITHIN: Duration = Duration::from_secs(10);
/// The only version of the protocol.
const VERSION: &str = "13";
/// Bytes of a handshake's key.
const KEY: usize = 16;

/// Whether a request asks for a WebSocket of Engine.IO 4. Does not check the handshake.
pub(crate) fn is_websocket_request(method: &Method, handshake: &Handshake) -> bool {
    *method == Method::GET && handshake.is_version_4 && handshake.transport == Some(Transport::WebSocket)
}

/// Checks that the request is a handshake that can be answered with 101.
pub(crate) fn check(headers: &HeaderMap) -> Result<(), Failure> {
    let is = |name: HeaderName, wanted: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    if !is(UPGRADE, "websocket") || !is(CONNECTION, "upgrade") {
        return Err(Failure::BadRequest);
    }
    if !is(SEC_WEBSOCKET_VERSION, VERSION) {
        return Err(Failure::WebSocketVersion);
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).and_then(|key| STANDARD.decode(key.as_bytes()).ok());
    if key.is_none_or(|key| key.len() != KEY) {
        return Err(Failure::BadRequest);
    }
    Ok(())
}

/// The text of the answer to a checked handshake.
pub(crate) fn answer(headers: &HeaderMap) -> String {
    let accept = accept_key(headers);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// Answers a checked handshake; `begin` receives the socket, and the bytes that the client sent after its handshake.
pub(crate) fn accept(
    request: Request<Body>,
    lifecycle: &Lifecycle,
    begin: impl FnOnce(TcpStream, Vec<u8>) + Send + 'static,
) -> Response<Body> {
    let accept = accept_key(request.headers());
    let upgrade = hyper::upgrade::on(request);
    lifecycle.spawn(async move {
        if let Ok(Ok(upgraded)) = tokio::time::timeout(UPGRADE_WITHIN, upgrade).await
            && let Some((socket, early)) = parts(upgraded)
        {
            begin(socket, early);
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    // Base64 is always a valid value.
    headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::try_from(accept).unwrap_or(HeaderValue::from_static("")));
    response
}

fn accept_key(headers: &HeaderMap) -> String {
    headers.get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes())).unwrap_or_default()
}

fn parts(upgraded: Upgraded) -> Option<(TcpStream, Vec<u8>)> {
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_valid_handshakes_pass() {
        let good = [
            (UPGRADE, "WebSocket"),
            (CONNECTION, "keep-alive, Upgrade"),
            (SEC_WEBSOCKET_VERSION, "13"),
            (SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        assert_eq!(check(&headers(&good)), Ok(()));
        let with = |index: usize, value| {
            let mut lines = good.clone();
            lines[index].1 = value;
            check(&headers(&lines))
        };
        let without = |index: usize| {
            let mut lines = good.to_vec();
            lines.remove(index);
            check(&headers(&lines))
        };
        assert_eq!(with(3, "short"), Err(Failure::BadRequest));
        assert_eq!((with(2, "1"), without(2)), (Err(Failure::WebSocketVersion), Err(Failure::WebSocketVersion)));
        for missing in [0, 1, 3] {
            assert_eq!(without(missing), Err(Failure::BadRequest));
        }
    }
}
