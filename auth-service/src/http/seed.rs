//! GET `/api/seed`: makes the demo users what they were at first. Only where `seed.enabled`; elsewhere nothing is here.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::CACHE_CONTROL},
    response::{IntoResponse, Response},
};
use jackfield_shared::{
    error_body::ErrorBody,
    http::{docs::ErrorDoc, layers::for_status},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::failure::Failure;
use crate::{app::App, demo, users::User};

/// Why nothing was reset.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// This service has no demo users.
    #[error("not here")]
    Disabled,
    /// Something inside.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl IntoResponse for SeedError {
    fn into_response(self) -> Response {
        let body: ErrorBody = match self {
            Self::Disabled => for_status(StatusCode::NOT_FOUND),
            Self::Failure(failure) => failure.into(),
        };
        body.into_response()
    }
}

/// The demo users.
#[derive(Serialize, ToSchema)]
pub struct Seeded {
    users: Vec<User>,
}

/// Resets the demo users.
#[utoipa::path(
    get, path = "/api/seed", tag = "demo",
    responses(
        (status = 200, description = "The demo users as they are now", body = Seeded),
        (status = 404, description = "`not_found`: `seed.enabled` is off", body = ErrorDoc),
        (status = 503, description = "`unavailable`, with `Retry-After`", body = ErrorDoc),
    ),
)]
#[tracing::instrument(name = "seed", skip_all)]
pub async fn seed(State(app): State<Arc<App>>) -> Result<Response, SeedError> {
    if !app.seed_enabled {
        return Err(SeedError::Disabled);
    }
    let users = demo::reset(&app.users, &app.passwords).await.map_err(Failure::from)?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(Seeded { users })).into_response())
}
