//! Counts and times every request, by its matched route and never by text of the client.

use std::time::Instant;

use axum::{
    Router,
    extract::{MatchedPath, Request},
    middleware::{Next, from_fn},
    response::Response,
};

use crate::metrics::{Counter, Family, Histogram, OTHER};

/// Classes of status, for the label `status` of [`Measures::answered`].
pub const STATUSES: &[&str] = &["2xx", "3xx", "4xx", "5xx", OTHER];

/// The metrics to update.
#[derive(Clone, Copy)]
pub struct Measures {
    /// By the labels `endpoint`, as the routes are written, and `status`.
    pub answered: &'static Family<Counter>,
    /// By the label `endpoint`.
    pub took: &'static Family<Histogram>,
}

/// The routes, measured. This must be outside all other layers, so that their answers are counted too.
pub fn measured(routes: Router, measures: Measures) -> Router {
    routes.layer(from_fn(move |request, next| measure(measures, request, next)))
}

async fn measure(measures: Measures, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let endpoint = route.as_ref().map_or(OTHER, MatchedPath::as_str);
    let start = Instant::now();
    let response = next.run(request).await;
    measures.took.record_for([endpoint], start.elapsed());
    let class = match response.status().as_u16() {
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        500..=599 => "5xx",
        _ => OTHER,
    };
    measures.answered.add_for([endpoint, class], 1);
    response
}
