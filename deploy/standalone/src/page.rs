//! The page at `/` and its files, embedded. It runs no script and no style but its own and the Socket.IO client.

use axum::{
    Router,
    http::{
        HeaderValue,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
            X_FRAME_OPTIONS,
        },
    },
    routing::get,
};
use tower::ServiceBuilder;
use tower_http::set_header::SetResponseHeaderLayer;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes of the page.
pub fn router() -> Router {
    let always = |name, value| SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value));
    let headers = ServiceBuilder::new()
        .layer(always(CONTENT_SECURITY_POLICY, POLICY))
        .layer(always(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(always(X_FRAME_OPTIONS, "DENY"))
        .layer(always(REFERRER_POLICY, "no-referrer"))
        .layer(always(CACHE_CONTROL, "no-cache"));
    let file =
        |kind: &'static str, content: &'static str| get(move || async move { ([(CONTENT_TYPE, kind)], content) });
    Router::new()
        .route("/", file("text/html; charset=utf-8", include_str!("../../page/index.html")))
        .route("/page.css", file("text/css; charset=utf-8", include_str!("../../page/page.css")))
        .route("/login.js", file("text/javascript; charset=utf-8", include_str!("../../page/login.js")))
        .route("/page.js", file("text/javascript; charset=utf-8", include_str!("../../page/page.js")))
        .layer(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, http::Request};
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn every_file_comes_with_the_policy() {
        for (path, kind) in [
            ("/", "text/html"),
            ("/page.css", "text/css"),
            ("/page.js", "text/javascript"),
            ("/login.js", "text/javascript"),
        ] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let answer = router().oneshot(request).await.unwrap();
            assert_eq!(answer.headers()[CONTENT_SECURITY_POLICY], POLICY);
            assert!(answer.headers()[CONTENT_TYPE].to_str().unwrap().starts_with(kind));
        }
    }

    #[test]
    fn the_page_follows_its_policy_on_every_server() {
        let page = include_str!("../../page/index.html");
        let (within, _) = POLICY.rsplit_once("; frame-ancestors").unwrap();
        assert!(page.contains(within), "the page's own policy is the header's without what only a header can express");
        assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains(" on"));
        assert!(page.match_indices("<script").all(|(at, _)| page[at..].starts_with("<script src=\"/")));
    }

    #[test]
    fn text_of_other_users_is_never_parsed_as_html() {
        let script = concat!(include_str!("../../page/login.js"), include_str!("../../page/page.js"));
        for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!script.contains(sink), "{sink}");
        }
    }
}
