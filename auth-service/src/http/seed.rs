//! GET `/api/seed`: resets the demo users to their initial state. Answers 404 unless `seed.enabled` is set.
//!
//! All their logins end, as with every change of a password. It changes data although it is a GET. So it refuses
//! requests that a page of another site makes a browser send, and each reset counts against the client address's limit
//! on registrations.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName, header::CACHE_CONTROL},
    response::{IntoResponse, Response},
};
use jackfield_shared::error_body::ErrorBody;
use serde::Serialize;
use utoipa::ToSchema;

use super::{client_address::ClientAddress, error::ApiError};
use crate::{app::App, demo, users::User};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

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
        (status = 403, description = "`forbidden`: sent by a page of another site", body = ErrorBody),
        (status = 404, description = "`not_found`: `seed.enabled` is off", body = ErrorBody),
        (status = 429, description = "`too_many_attempts`, with `Retry-After`", body = ErrorBody),
        (status = 503, description = "`unavailable`, with `Retry-After`", body = ErrorBody),
    ),
)]
#[tracing::instrument(name = "seed", skip_all)]
pub async fn seed(
    State(app): State<Arc<App>>,
    ClientAddress(client): ClientAddress,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if !app.seed_enabled {
        return Err(ApiError::NoDemoUsers);
    }
    // Current browsers send it to HTTPS and localhost addresses. Other clients do not, and no page can trick them into
    // a request.
    if headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "cross-site") {
        return Err(ApiError::CrossSite);
    }
    app.limits.count_registration(client)?;
    let users = demo::reset(&app, client).await?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(Seeded { users })).into_response())
}
