//! GET `/api/auth/check-status`: verifies a token, and returns a renewed one of the same login.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    response::{IntoResponse, Response},
};
use jackfield_shared::{error_body::ErrorBody, http::docs::ErrorDoc, time::unix_now, verify::strip_bearer};

use super::{failure::Failure, session::Session};
use crate::app::App;

/// Why the token is not renewed.
#[derive(Debug, thiserror::Error)]
pub enum CheckStatusError {
    /// No token, not issued here, not valid now, or its user no longer exists.
    #[error("Token not valid")]
    InvalidToken,
    /// The user was deactivated.
    #[error("User is inactive, talk with an admin")]
    UserInactive,
    /// An internal failure.
    #[error(transparent)]
    Failure(#[from] Failure),
}

impl IntoResponse for CheckStatusError {
    fn into_response(self) -> Response {
        let refused = |code| ErrorBody::new(StatusCode::UNAUTHORIZED, code, self.to_string());
        let body = match self {
            Self::InvalidToken => refused("invalid_token"),
            Self::UserInactive => refused("user_inactive"),
            Self::Failure(failure) => failure.into(),
        };
        body.into_response()
    }
}

/// Verifies the token and renews it.
#[utoipa::path(
    get, path = "/api/auth/check-status", tag = "auth", security(("bearer" = [])),
    responses(
        (status = 200, description = "A renewed token of the same login", body = Session),
        (status = 401, description = "`invalid_token`, or `user_inactive`", body = ErrorDoc),
        (status = 503, description = "`unavailable`, with `Retry-After`", body = ErrorDoc),
    ),
)]
#[tracing::instrument(name = "check_status", skip_all)]
pub async fn check_status(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, CheckStatusError> {
    let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(strip_bearer);
    let claims = token.and_then(|token| app.tokens.verify(token)).ok_or(CheckStatusError::InvalidToken)?;
    let id = claims.sub.parse().map_err(|_| CheckStatusError::InvalidToken)?;
    let user = app.users.find(id).await.map_err(Failure::from)?.ok_or(CheckStatusError::InvalidToken)?;
    if !user.is_active {
        return Err(CheckStatusError::UserInactive);
    }
    let token = app.tokens.issue(&user, &claims.sid, unix_now()).map_err(Failure::from)?;
    Ok(Session { token, user }.response(StatusCode::OK))
}
