//! Counts and times every request, by the route that it took and never by what the client wrote.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use jackfield_shared::metrics::OTHER;

use crate::metrics;

/// A layer around the routes.
pub(super) async fn measure(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let endpoint = route.as_ref().map_or(OTHER, MatchedPath::as_str);
    let begun = Instant::now();
    let response = next.run(request).await;
    metrics::REQUEST.record_for([endpoint], begun.elapsed());
    let class = match response.status().as_u16() {
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        500..=599 => "5xx",
        _ => OTHER,
    };
    metrics::REQUESTS.add_for([endpoint, class], 1);
    response
}
