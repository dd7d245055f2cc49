//! The layers around every route: limits of time and size, handling of panics, and the one shape of errors.

use std::{any::Any, time::Duration};

use axum::{
    Router,
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS},
    },
    middleware::map_response,
    response::{IntoResponse, Response},
};
use tower_http::{
    catch_panic::CatchPanicLayer, limit::RequestBodyLimitLayer, set_header::SetResponseHeaderLayer,
    timeout::TimeoutLayer,
};

use crate::{error_body::ErrorBody, ids::new_id};

/// Seconds after which a client should retry after a temporary failure.
const RETRY_AFTER_SECS: u64 = 2;

/// The limits of one request.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of its body.
    pub body: usize,
    /// From the end of its headers to the answer's.
    pub answer_within: Duration,
}

/// The routes with all layers around them. Every error is answered with an [`ErrorBody`].
pub fn wrap(routes: Router, limits: Limits) -> Router {
    let unknown = || async { for_status(StatusCode::NOT_FOUND) };
    let nosniff = SetResponseHeaderLayer::overriding(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Each layer wraps those above it.
    routes
        .fallback(unknown)
        .layer(RequestBodyLimitLayer::new(limits.body))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, limits.answer_within))
        .layer(CatchPanicLayer::custom(on_panic))
        .layer(map_response(shape_error))
        .layer(nosniff)
}

/// The generic error of a status.
#[must_use]
pub fn for_status(status: StatusCode) -> ErrorBody {
    let (code, message) = match status {
        StatusCode::NOT_FOUND => ("not_found", "Not found: check the path"),
        StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "Method not allowed: see the Allow header"),
        StatusCode::PAYLOAD_TOO_LARGE => ("payload_too_large", "The body is too large"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            ("unsupported_media_type", "Send the body as `Content-Type: application/json`")
        }
        StatusCode::SERVICE_UNAVAILABLE => return unavailable(),
        status if status.is_server_error() => ("internal", "Unexpected error"),
        _ => ("bad_request", "The request is malformed"),
    };
    ErrorBody::new(status, code, message)
}

/// Gives errors that come from a layer, or from the router itself, the shape of all others.
async fn shape_error(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes() == b"application/json");
    if !is_error || is_json {
        return response;
    }
    let mut shaped = for_status(status).into_response();
    for (name, value) in response.headers() {
        let of_the_body = [CONTENT_TYPE, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name);
        if !of_the_body && !shaped.headers().contains_key(name) {
            shaped.headers_mut().append(name.clone(), value.clone());
        }
    }
    shaped
}

/// Logs only an id: a panic's message may hold anything. The panic hook has already written to standard error.
fn on_panic(_: Box<dyn Any + Send>) -> Response {
    let id = new_id();
    tracing::error!(%id, "request handler panicked; the panic message is on standard error");
    ErrorBody::internal(&id).into_response()
}

/// 503 with `Retry-After`.
#[must_use]
pub fn unavailable() -> ErrorBody {
    ErrorBody::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "unavailable",
        "The service is temporarily unavailable, retry later",
    )
    .retry_after(RETRY_AFTER_SECS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{
        body::Body,
        http::{Method, Request},
        routing::get,
    };
    use http_body_util::BodyExt as _;
    use serde_json::Value;
    use tower::ServiceExt as _;

    async fn send(method: Method, path: &str) -> (StatusCode, Value) {
        let routes = Router::new()
            .route("/panics", get(|| async { panic!("on purpose") as () }))
            .route("/hangs", get(std::future::pending::<()>))
            .route("/text", get(|| async { (StatusCode::IM_A_TEAPOT, "text") }));
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = wrap(routes, Limits { body: 1_024, answer_within: Duration::from_secs(30) })
            .oneshot(request)
            .await
            .unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{body:?} is no JSON")))
    }

    #[tokio::test(start_paused = true)]
    async fn every_error_has_one_shape() {
        for (method, path, status, code) in [
            (Method::GET, "/nowhere", 404, "not_found"),
            (Method::POST, "/text", 405, "method_not_allowed"),
            (Method::GET, "/text", 418, "bad_request"),
            (Method::GET, "/panics", 500, "internal"),
            (Method::GET, "/hangs", 503, "unavailable"),
        ] {
            let (answered, body) = send(method, path).await;
            assert_eq!((answered.as_u16(), &body["statusCode"], &body["code"]), (status, &status.into(), &code.into()));
            assert!(body["error"].is_string() && body["message"].is_string(), "{body}");
        }
    }
}
