//! `/healthz`, `/readyz`, `/metrics`: for the orchestrator and Prometheus, on the internal port only.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use jackfield_shared::metrics;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Started;
use crate::{app::App, metrics::sample};

/// Timeout for the database's answer.
const TIMEOUT: Duration = Duration::from_secs(2);

type Starting = (Arc<OnceLock<Started>>, CancellationToken);

/// The routes. They also work before the service is built.
pub(crate) fn router(started: Arc<OnceLock<Started>>, stopping: CancellationToken) -> Router {
    Router::new()
        // 200 while the process answers at all.
        .route("/healthz", get(async || Json(json!({ "status": "alive" }))))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state((started, stopping))
}

/// 200 when requests can be answered, else 503; the body says which part is missing.
async fn ready(State((started, stopping)): State<Starting>) -> Response {
    let database = match started.get() {
        Some(started) => database_answers(&started.app).await,
        None => false,
    };
    let redis = match started.get() {
        Some(started) => started.app.revoker.is_reachable().await,
        None => None,
    };
    let draining = stopping.is_cancelled();
    let (code, status) = match database && !draining {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "unready"),
    };
    let mut body = json!({ "status": status, "parts": { "database": database, "draining": draining } });
    // Without Redis only calls that revoke tokens fail.
    if let Some(redis) = redis {
        body["parts"]["redis"] = redis.into();
    }
    (code, Json(body)).into_response()
}

async fn render(State((started, _)): State<Starting>) -> Response {
    if let Some(started) = started.get() {
        sample(&started.app);
    }
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::render()).into_response()
}

/// Whether the database answers within `TIMEOUT`.
pub(crate) async fn database_answers(app: &App) -> bool {
    matches!(tokio::time::timeout(TIMEOUT, app.users.ping()).await, Ok(Ok(())))
}
