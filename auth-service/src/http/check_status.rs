//! GET `/api/auth/check-status`: verifies a token, and returns a renewed one of the same login.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use jackfield_shared::error_body::ErrorBody;

use super::{
    bearer::Bearer,
    error::ApiError,
    session::{Session, response},
};
use crate::{app::App, sign_in::AccessToken};

/// Verifies the token and renews it, as long as its login lasts.
#[utoipa::path(
    get, path = "/api/auth/check-status", tag = "auth", security(("bearer" = [])),
    responses(
        (status = 200, description = "A renewed token of the same login", body = Session),
        (status = 401, description = "`invalid_token`, or `user_inactive`", body = ErrorBody),
        (status = 503, description = "`unavailable`, with `Retry-After`", body = ErrorBody),
    ),
)]
#[tracing::instrument(name = "check_status", skip_all)]
pub async fn check_status(State(app): State<Arc<App>>, caller: Bearer) -> Result<Response, ApiError> {
    let Bearer { user, login, read_at } = caller;
    let access = AccessToken::new(&app, &login, read_at);
    // It may have ended since it was read.
    if !app.logins.extend(login.id, read_at, access.expires_at()).await? {
        return Err(ApiError::InvalidToken);
    }
    let token = access.sign(&app, &login, &user)?;
    Ok(response(StatusCode::OK, Session { token, user }))
}
