//! Which browsers' pages may connect: an allow-list of origins, with credentials.

use axum::http::{HeaderValue, Method, header, request::Parts};
use jackfield_shared::origins;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// The layer for these origins.
pub(super) fn layer(origins: &[String]) -> CorsLayer {
    let allowed = origins.to_vec();
    let decide = move |origin: &HeaderValue, _: &Parts| {
        origin.to_str().is_ok_and(|origin| allowed.iter().any(|pattern| origins::matches(pattern, origin)))
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(decide))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::OPTIONS])
        // The seeds' clients send headers of their own.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([header::RETRY_AFTER])
}
