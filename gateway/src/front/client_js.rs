//! `/socket.io/socket.io.js`, `.min.js`, and their `.map`s: the stock browser client, embedded from its npm package by the
//! build.
//!
//! If the package was not installed at build time, the routes answer with 404 and an error that says how to install it.

use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use jackfield_shared::error_body::ErrorBody;

include!(concat!(env!("OUT_DIR"), "/client_files.rs"));

/// The routes of the files below `path`.
pub(super) fn router(path: &str) -> Router {
    if CLIENT_FILES.iter().any(|(_, content)| content.is_none()) {
        tracing::warn!(
            "this build has no browser client: {path}/socket.io.js answers 404; to add it, run `npm ci` in gateway/client \
             and build again"
        );
    }
    CLIENT_FILES.iter().fold(Router::new(), |router, (name, content)| {
        router.route(&format!("{path}/{name}"), get(move || async move { file(name, *content) }))
    })
}

fn file(name: &str, content: Option<&'static str>) -> Response {
    let Some(content) = content else {
        let message = "This build has no browser client: run `npm ci` in gateway/client and build again";
        return ErrorBody::new(StatusCode::NOT_FOUND, "client_not_built", message).into_response();
    };
    let kind = if name.ends_with(".map") { "application/json" } else { "text/javascript; charset=utf-8" };
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=3600")], content).into_response()
}
