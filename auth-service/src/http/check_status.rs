//! GET `/api/auth/check-status`: verifies a token, and returns a renewed one of the same login.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    response::Response,
};
use jackfield_shared::{error_body::ErrorBody, time::unix_now, verify::strip_bearer};

use super::{error::ApiError, session::Session};
use crate::app::App;

/// Verifies the token and renews it.
#[utoipa::path(
    get, path = "/api/auth/check-status", tag = "auth", security(("bearer" = [])),
    responses(
        (status = 200, description = "A renewed token of the same login", body = Session),
        (status = 401, description = "`invalid_token`, or `user_inactive`", body = ErrorBody),
        (status = 503, description = "`unavailable`, with `Retry-After`", body = ErrorBody),
    ),
)]
#[tracing::instrument(name = "check_status", skip_all)]
pub async fn check_status(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(strip_bearer);
    let claims = token.and_then(|token| app.tokens.verify(token)).ok_or(ApiError::InvalidToken)?;
    let id = claims.sub.parse().map_err(|_| ApiError::InvalidToken)?;
    let user = app.users.find(id).await?.ok_or(ApiError::InvalidToken)?;
    if !user.is_active {
        return Err(ApiError::UserInactive);
    }
    let token = app.tokens.issue(&user, &claims.sid, unix_now())?;
    Ok(Session { token, user }.response(StatusCode::OK))
}
