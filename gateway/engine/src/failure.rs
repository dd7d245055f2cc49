//! Error responses of the engines, in the format of Engine.IO's own server.

use axum::{
    body::Body,
    http::{
        HeaderValue, Response, StatusCode,
        header::{CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_VERSION},
    },
};
use serde_json::json;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The request names no known transport.
    UnknownTransport,
    /// The session does not exist, or has ended.
    UnknownSession,
    /// A session begins with GET.
    HandshakeMethod,
    /// Another version of Engine.IO.
    EngineVersion,
    /// The request does not fit the session, or is not a valid handshake.
    BadRequest,
    /// Another version of the WebSocket protocol.
    WebSocketVersion,
    /// The body is longer than the client may send.
    TooLarge,
    /// The body did not arrive in time.
    TooLate,
}

impl Failure {
    pub(crate) fn response(self) -> Response<Body> {
        let (status, code, message) = match self {
            Self::UnknownTransport => (StatusCode::BAD_REQUEST, 0, "Transport unknown"),
            Self::UnknownSession => (StatusCode::BAD_REQUEST, 1, "Session ID unknown"),
            Self::HandshakeMethod => (StatusCode::BAD_REQUEST, 2, "Bad handshake method"),
            Self::EngineVersion => (StatusCode::BAD_REQUEST, 5, "Unsupported protocol version"),
            Self::BadRequest => (StatusCode::BAD_REQUEST, 3, "Bad request"),
            Self::WebSocketVersion => (StatusCode::UPGRADE_REQUIRED, 3, "Bad request"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, 3, "Payload too large"),
            Self::TooLate => (StatusCode::REQUEST_TIMEOUT, 3, "The body did not arrive in time"),
        };
        let mut response = Response::new(Body::from(json!({ "code": code, "message": message }).to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self {
            Self::WebSocketVersion => {
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            // Close the connection instead of waiting for the rest of the body.
            Self::TooLarge | Self::TooLate => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}
