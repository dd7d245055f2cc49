//! `/healthz`, `/readyz`, `/metrics`: for the orchestrator and Prometheus, on the internal port only.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use jackfield_shared::metrics;
use serde_json::json;

use crate::{app::App, metrics::look};

/// For the database to answer.
const WITHIN: Duration = Duration::from_secs(2);

pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state(app)
}

/// 200 while the process answers at all.
async fn alive() -> Response {
    Json(json!({ "status": "alive" })).into_response()
}

/// 200 when requests can be answered, else 503; the body says which part is missing.
async fn ready(State(app): State<Arc<App>>) -> Response {
    let (database, draining) = (database_answers(&app).await, app.stopping.is_cancelled());
    let (status, word) = match database && !draining {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "unready"),
    };
    (status, Json(json!({ "status": word, "parts": { "database": database, "draining": draining } }))).into_response()
}

async fn render(State(app): State<Arc<App>>) -> Response {
    look(&app);
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::render()).into_response()
}

/// Whether the database answers in time.
pub(crate) async fn database_answers(app: &App) -> bool {
    matches!(tokio::time::timeout(WITHIN, app.users.ping()).await, Ok(Ok(())))
}
