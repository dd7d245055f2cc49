//! The layers around every route: [`jackfield_shared::http::layers`], and CORS.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    http::{
        HeaderValue, Method,
        header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
        request::Parts,
    },
};
use jackfield_shared::{
    http::layers::{self, Limits},
    origins::AllowList,
};
use tower_http::cors::{AllowCredentials, AllowOrigin, CorsLayer};

/// `answer_within` includes the wait for a turn to hash.
const LIMITS: Limits = Limits { body: 16 * 1_024, answer_within: Duration::from_secs(30) };

pub(super) fn wrap(routes: Router, origins: &[String]) -> Router {
    layers::wrap(routes, LIMITS).layer(cors(origins))
}

fn cors(origins: &[String]) -> CorsLayer {
    let list = Arc::new(AllowList::new(origins));
    let decide = move |origin: &HeaderValue, parts: &Parts| list.allows(origin, &parts.headers);
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(decide.clone()))
        .allow_credentials(AllowCredentials::predicate(decide))
        .allow_methods([Method::GET, Method::POST, Method::PATCH])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE])
        .expose_headers([RETRY_AFTER])
}
