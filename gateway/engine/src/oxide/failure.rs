//! Refusals of requests to the engine, in the format of Engine.IO's own servers, whose codes are numbers.

use axum::{
    body::Body,
    http::{
        HeaderValue, Response, StatusCode,
        header::{CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_VERSION},
    },
};
use http_body_util::BodyExt as _;
use serde_json::json;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// There is no such session, or it is over.
    UnknownSession,
    /// The request does not fit the session, or is no handshake.
    BadRequest,
    /// Another version of the WebSocket protocol.
    WebSocketVersion,
    /// Longer than the client may send.
    TooLarge,
    /// The body did not come in time.
    TooLate,
}

impl Failure {
    pub(super) fn response(self) -> Response<Body> {
        let (status, code, message) = match self {
            Self::UnknownSession => (StatusCode::BAD_REQUEST, 1, "Session ID unknown"),
            Self::BadRequest => (StatusCode::BAD_REQUEST, 3, "Bad request"),
            Self::WebSocketVersion => (StatusCode::UPGRADE_REQUIRED, 3, "Bad request"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, 3, "Payload too large"),
            Self::TooLate => (StatusCode::REQUEST_TIMEOUT, 3, "The body did not come in time"),
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
            Self::UnknownSession | Self::BadRequest => {}
        }
        response
    }
}

/// Rewrites the codes of the library's refusals as numbers: it writes them as text.
pub(super) async fn with_numeric_codes(response: Response<Body>) -> Response<Body> {
    let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if response.status() != StatusCode::BAD_REQUEST || !is_json {
        return response;
    }
    let (parts, body) = response.into_parts();
    // In memory, and short.
    let Ok(body) = body.collect().await else { return Failure::BadRequest.response() };
    let Ok(mut error) = serde_json::from_slice::<serde_json::Value>(&body.to_bytes()) else {
        return Failure::BadRequest.response();
    };
    if let Some(code) = error["code"].as_str().and_then(|code| code.parse::<u8>().ok()) {
        error["code"] = code.into();
    }
    Response::from_parts(parts, Body::from(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn codes_become_numbers() {
        let library = Response::builder().status(400).header(CONTENT_TYPE, "application/json");
        let library = library.body(Body::from(r#"{"code":"1","message":"Session ID unknown"}"#)).unwrap();
        let body = with_numeric_codes(library).await.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&*body, br#"{"code":1,"message":"Session ID unknown"}"#);
    }
}
