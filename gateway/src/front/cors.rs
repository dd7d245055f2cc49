//! The origins whose pages may connect from a browser: an allow-list, with credentials.
//!
//! Browsers enforce it for HTTP. They do not enforce it for WebSockets, so this module refuses those itself.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{
        HeaderMap, HeaderValue, Method, Request, StatusCode,
        header::{ORIGIN, RETRY_AFTER, SEC_WEBSOCKET_KEY},
        request::Parts,
    },
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use jackfield_shared::{error_body::ErrorBody, origins::AllowList};
use tower_http::cors::{AllowCredentials, AllowHeaders, AllowOrigin, CorsLayer};

/// Restricts the routes to pages of these origins.
pub(super) fn wrap(routes: Router, origins: &Arc<AllowList>) -> Router {
    routes.layer(from_fn_with_state(Arc::clone(origins), check_websocket)).layer(layer(Arc::clone(origins)))
}

fn layer(list: Arc<AllowList>) -> CorsLayer {
    let decide = move |origin: &HeaderValue, parts: &Parts| list.allows(origin, &parts.headers);
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(decide.clone()))
        .allow_credentials(AllowCredentials::predicate(decide))
        .allow_methods([Method::GET, Method::POST, Method::DELETE, Method::OPTIONS])
        // Some clients send headers of their own.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([RETRY_AFTER])
}

/// Whether the request is one of a page that may not connect.
pub(super) fn refuses(list: &AllowList, headers: &HeaderMap) -> bool {
    headers.get(ORIGIN).is_some_and(|origin| !list.allows(origin, headers))
}

async fn check_websocket(State(list): State<Arc<AllowList>>, request: Request<Body>, next: Next) -> Response {
    match request.headers().contains_key(SEC_WEBSOCKET_KEY) && refuses(&list, request.headers()) {
        true => ErrorBody::new(StatusCode::FORBIDDEN, "origin_not_allowed", "Pages of this origin may not connect")
            .into_response(),
        false => next.run(request).await,
    }
}
