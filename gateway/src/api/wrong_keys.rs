//! Counts wrong API keys by client address. An address above the limit is refused before its key is checked, so that
//! nobody can guess keys. A call without a key counts as one with a wrong key.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use jackfield_shared::{
    http::client_address::origin,
    rate_limit::{Allowance, RateLimit},
};
use parking_lot::Mutex;

use super::error::ApiError;

/// Wrong keys per address: enough for a backend whose key was just replaced, and far too few to guess a key.
const ALLOWED: Allowance = Allowance { count: 100, window: Duration::from_mins(1) };
/// Most addresses whose counts are kept.
const REMEMBERED: usize = 10_000;

/// The counts of one port.
#[derive(Clone)]
pub(super) struct WrongKeys {
    counts: Arc<Mutex<RateLimit<IpAddr>>>,
    hops: usize,
}

impl WrongKeys {
    /// Counts of zero, for a port with `hops` proxies in front.
    pub(super) fn new(hops: usize) -> Self {
        Self { counts: Arc::new(Mutex::new(RateLimit::new(ALLOWED, REMEMBERED))), hops }
    }
}

/// The layer that refuses addresses with too many wrong keys.
pub(super) async fn limited(State(wrong): State<WrongKeys>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let client = origin(peer, request.headers(), wrong.hops).address;
    if let Err(wait) = wrong.counts.lock().check(&client, Instant::now()) {
        return ApiError::TooManyWrongKeys(wait).into_response();
    }
    let response = next.run(request).await;
    if response.status() == StatusCode::UNAUTHORIZED {
        wrong.counts.lock().record(&client, Instant::now());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, body::Body, middleware::from_fn_with_state, routing::get};
    use tower::ServiceExt as _;

    async fn call(routes: &Router, from: &str, valid: bool) -> Response {
        let path = if valid { "/valid" } else { "/wrong" };
        let request = axum::http::Request::get(path).header("x-forwarded-for", from).body(Body::empty()).unwrap();
        routes.clone().oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn an_address_above_the_limit_is_refused_even_with_a_valid_key() {
        let routes = Router::new()
            .route("/valid", get(|| async {}))
            .route("/wrong", get(|| async { StatusCode::UNAUTHORIZED }))
            .layer(from_fn_with_state(WrongKeys::new(1), limited));
        for _ in 0..ALLOWED.count {
            assert_eq!(call(&routes, "6.6.6.6", true).await.status(), 200);
            assert_eq!(call(&routes, "6.6.6.6", false).await.status(), 401);
        }
        for valid in [false, true] {
            let refused = call(&routes, "6.6.6.6", valid).await;
            assert_eq!(refused.status(), 429);
            assert!(refused.headers().contains_key("retry-after"));
        }
        assert_eq!(call(&routes, "7.7.7.7", true).await.status(), 200);
    }
}
