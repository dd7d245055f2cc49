//! GET `/api/seed`: resets the demo users to their initial state. Answers 404 unless `seed.enabled` is set.
//!
//! It changes data although it is a GET. So it refuses requests that a page of another site makes a browser send, and
//! each reset counts against the client address's limit on registrations.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode, header::CACHE_CONTROL},
    response::{IntoResponse, Response},
};
use jackfield_shared::{
    error_body::ErrorBody,
    http::{docs::ErrorDoc, layers::for_status},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{client_address::ClientAddress, failure::Failure};
use crate::{
    app::{App, TooMany},
    demo,
    users::User,
};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why a reset was refused.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// This service has no demo users.
    #[error("this service has no demo users")]
    Disabled,
    /// A page of another site made the browser send the request.
    #[error("Pages of other sites may not reset the demo users")]
    CrossSite,
    /// The client resets and registers too often.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// An internal failure.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl IntoResponse for SeedError {
    fn into_response(self) -> Response {
        let body: ErrorBody = match self {
            Self::Disabled => for_status(StatusCode::NOT_FOUND),
            Self::CrossSite => ErrorBody::new(StatusCode::FORBIDDEN, "forbidden", self.to_string()),
            Self::TooMany(error) => error.into(),
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
        (status = 403, description = "`forbidden`: sent by a page of another site", body = ErrorDoc),
        (status = 404, description = "`not_found`: `seed.enabled` is off", body = ErrorDoc),
        (status = 429, description = "`too_many_attempts`, with `Retry-After`", body = ErrorDoc),
        (status = 503, description = "`unavailable`, with `Retry-After`", body = ErrorDoc),
    ),
)]
#[tracing::instrument(name = "seed", skip_all)]
pub async fn seed(
    State(app): State<Arc<App>>,
    ClientAddress(client): ClientAddress,
    headers: HeaderMap,
) -> Result<Response, SeedError> {
    if !app.seed_enabled {
        return Err(SeedError::Disabled);
    }
    // Current browsers send it to HTTPS and localhost addresses. Other clients do not, and no page can trick them into
    // a request.
    if headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "cross-site") {
        return Err(SeedError::CrossSite);
    }
    app.limits.count_registration(client)?;
    let users = demo::reset(&app.users, &app.passwords, client).await.map_err(Failure::from)?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(Seeded { users })).into_response())
}
