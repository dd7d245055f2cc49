//! Gives every request an id, which is in the answer (`x-request-id`) and on every line that is logged on the way; a
//! recorded request is also a span of a trace.

use std::{borrow::Cow, time::Instant};

use axum::{
    Router,
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue, Method},
    middleware::{Next, from_fn},
    response::Response,
};
use tracing::Instrument as _;

use crate::{
    ids::new_id,
    metrics::OTHER,
    trace::{self, Origin, Span, SpanKind, within},
};

/// Carries the id, both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Most characters of an id that is accepted from the caller.
const MAX_ID: usize = 64;

/// The kind of callers, which decides whether their traces are continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callers {
    /// Ours, or an operator's: a trace that they record is continued.
    Backends,
    /// Anybody: `traceparent` is ignored, and sampling is decided here.
    Anybody,
}

/// The routes, each request with its id. This must be outside everything that may log.
pub fn identified(routes: Router, callers: Callers) -> Router {
    routes.layer(from_fn(move |request, next| identify(callers, request, next)))
}

async fn identify(callers: Callers, request: Request, next: Next) -> Response {
    let id = request.headers().get(REQUEST_ID).and_then(accepted).unwrap_or_else(new_id);
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or(OTHER, MatchedPath::as_str);
    let name = || -> Cow<'static, str> { format!("{method} {route}").into() };
    let origin = (callers == Callers::Backends).then(|| Origin::of_headers(request.headers())).flatten();
    let span = if origin.is_some() { Span::follow(origin, name(), SpanKind::Server) } else { Span::begin(name) };
    let span = span.map(|span| span.with("http.route", route.to_owned()).with("request.id", id.clone()));
    let work = async {
        // At error level, which passes every filter but `off`, and within the trace's.
        let line = tracing::error_span!("request", request_id = %id);
        run(&method, route, request, next).instrument(line).await
    };
    let mut response = within(span, work).await;
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

async fn run(method: &Method, route: &str, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    trace::note("http.response.status_code", i64::from(status));
    tracing::debug!(%method, route, status, seconds = start.elapsed().as_secs_f64(), "request answered");
    response
}

/// The caller's own id, if it is safe in a log line.
fn accepted(id: &HeaderValue) -> Option<String> {
    let id = id.to_str().ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    ((1..=MAX_ID).contains(&id.len()) && id.chars().all(plain)).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, routing::get};
    use tower::ServiceExt as _;

    async fn id_after(sent: Option<&str>) -> String {
        let routes = identified(Router::new().route("/", get(|| async {})), Callers::Anybody);
        let mut request = Request::get("/").body(Body::empty()).unwrap();
        if let Some(sent) = sent {
            request.headers_mut().insert(REQUEST_ID, sent.parse().unwrap());
        }
        routes.oneshot(request).await.unwrap().headers()[REQUEST_ID].to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_valid_id_of_the_caller_is_kept() {
        assert_eq!(id_after(Some("a-B_c.1")).await, "a-B_c.1");
        let made = id_after(None).await;
        assert!(!made.is_empty() && id_after(None).await != made);
        for bad in ["", "a b", "a\"b", &"x".repeat(MAX_ID + 1)] {
            assert_ne!(id_after(Some(bad)).await, bad);
        }
    }
}
