//! `/healthz`, `/readyz`, `/metrics`: for the orchestrator and Prometheus, on the internal port only.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use jackfield_shared::metrics as shared;
use serde_json::json;

use super::{gauges, unkept::unkept};
use crate::session::Shared;

/// The internal routes of this node.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state(shared)
}

/// Always 200: the process answers.
async fn alive(State(shared): State<Arc<Shared>>) -> Response {
    Json(json!({ "status": "alive", "node": shared.id.as_str() })).into_response()
}

/// 200 if the node can serve clients, else 503; the body says which parts are not ready, and which servers are heard. A
/// promise of a rule that is not kept at present is in the body, and changes nothing else: other rooms need the node.
async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let readiness = shared.readiness();
    let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let (node, servers) = (shared.id.as_str(), shared.cluster.bus.health());
    let mut body = json!({ "status": readiness.as_str(), "node": node, "parts": readiness, "servers": servers });
    let unkept = unkept(&shared);
    if !unkept.is_empty() {
        body["unkept"] = json!(unkept);
    }
    (status, Json(body)).into_response()
}

async fn render(State(shared): State<Arc<Shared>>) -> Response {
    gauges::sample(&shared);
    ([(CONTENT_TYPE, shared::CONTENT_TYPE)], shared::render()).into_response()
}
