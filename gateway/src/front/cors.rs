//! Which browsers' pages may connect: an allow-list of origins, with credentials.

use axum::http::{HeaderValue, Method, header, request::Parts};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// The layer for these origins.
pub(super) fn layer(origins: &[String]) -> CorsLayer {
    let allowed = origins.to_vec();
    let decide = move |origin: &HeaderValue, _: &Parts| {
        origin.to_str().is_ok_and(|origin| allowed.iter().any(|pattern| matches(pattern, origin)))
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(decide))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::OPTIONS])
        // The seeds' clients send headers of their own.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([header::RETRY_AFTER])
}

/// Whether `origin` is `pattern`, in which each `*` stands for letters, digits, `-`, and `.`.
fn matches(pattern: &str, origin: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == origin,
        Some((before, after)) => origin.strip_prefix(before).is_some_and(|rest| {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
            let most = rest.find(|c| !plain(c)).unwrap_or(rest.len());
            (0..=most).any(|length| rest.is_char_boundary(length) && matches(after, &rest[length..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_never_crosses_into_another_host() {
        assert!(matches("http://localhost:*", "http://localhost:5173"));
        assert!(matches("https://*.example.com", "https://a.b.example.com"));
        assert!(!matches("https://*.example.com", "https://evil.com/.example.com"));
        assert!(!matches("http://localhost:*", "http://localhost:1@evil.com"));
        assert!(!matches("http://localhost:3000", "http://localhost:30001"));
    }
}
