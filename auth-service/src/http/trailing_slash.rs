//! A route below a base path also answers with one slash at its end, as Nest's do.

use axum::{
    Router,
    extract::Request,
    http::{Uri, uri::PathAndQuery},
    routing::any,
};
use tower::ServiceExt as _;

/// The routes. If none of them matches a path below `base` that ends in a slash, they are tried again without it.
pub(super) fn allow(routes: Router, base: &str) -> Router {
    let inner = routes.clone();
    let retry = move |mut request: Request| {
        if let Some(uri) = without_slash(request.uri()) {
            *request.uri_mut() = uri;
        }
        inner.clone().oneshot(request)
    };
    routes.route(&format!("{base}/{{*rest}}"), any(retry))
}

fn without_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_suffix('/').filter(|path| !path.ends_with('/'))?;
    let shorter = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(shorter).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, extract::RawQuery, http::StatusCode, routing::get};
    use http_body_util::BodyExt as _;

    async fn get_body(uri: &str) -> (StatusCode, String) {
        let echo = |RawQuery(query): RawQuery| async move { query.unwrap_or_default() };
        let routes = Router::new().route("/api/x", get(echo)).fallback(|| async { (StatusCode::NOT_FOUND, "none") });
        let request = Request::get(uri).body(Body::empty()).unwrap();
        let answer = allow(routes, "/api").oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn one_slash_at_the_end_is_ignored() {
        assert_eq!(get_body("/api/x").await, (StatusCode::OK, String::new()));
        assert_eq!(get_body("/api/x/").await, (StatusCode::OK, String::new()));
        assert_eq!(get_body("/api/x/?a=/&b").await, (StatusCode::OK, "a=/&b".into()));
        for none in ["/api/x//", "/api//", "/api/y/", "/api/y", "/x/", "//evil.example/"] {
            assert_eq!(get_body(none).await, (StatusCode::NOT_FOUND, "none".into()), "{none}");
        }
    }
}
