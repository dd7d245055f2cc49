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

use super::metrics;
use crate::node::Node;

/// The internal routes of `node`.
pub fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state(node)
}

/// 200 while the process answers at all.
async fn alive(State(node): State<Arc<Node>>) -> Response {
    Json(json!({ "status": "alive", "node": node.id.as_str() })).into_response()
}

/// 200 when the node can take clients, else 503; the body says which part is missing.
async fn ready(State(node): State<Arc<Node>>) -> Response {
    let parts = node.parts();
    let status = if parts.ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "status": parts.word(), "node": node.id.as_str(), "parts": parts }))).into_response()
}

async fn render(State(node): State<Arc<Node>>) -> Response {
    metrics::look(&node);
    ([(CONTENT_TYPE, shared::CONTENT_TYPE)], shared::render()).into_response()
}
