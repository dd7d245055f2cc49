//! POST `/api/auth/logout`: ends the caller's login, or all of the user's.
//!
//! Guarantees: once answered, neither the refresh token nor `check-status` works any more, and gateways have been told:
//! they end the login's sockets and refuse its tokens within a second. If they cannot be told, nothing ends.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use garde::Validate;
use jackfield_shared::error_body::ErrorBody;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{bearer::Bearer, error::ApiError, optional_body::OptionalBody};
use crate::{
    app::App,
    logins::now,
    revoker::{Reason, count_ended},
};

/// The logins to end.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = LogoutRequest)]
pub struct Request {
    /// All logins of the user, not just the one of the token.
    #[serde(default)]
    #[garde(skip)]
    everywhere: bool,
}

/// Ends the login of the token, or all logins of its user. The body may be left out.
#[utoipa::path(
    post, path = "/api/auth/logout", tag = "auth", security(("bearer" = [])), request_body = Option<Request>,
    responses(
        (status = 204, description = "Ended; gateways disconnect its sockets within a second"),
        (status = 400, description = "`validation_failed`", body = ErrorBody),
        (status = 401, description = "`invalid_token`, or `user_inactive`", body = ErrorBody),
        (status = 413, description = "`payload_too_large`", body = ErrorBody),
        (status = 415, description = "`unsupported_media_type`", body = ErrorBody),
        (status = 429, description = "`too_many_attempts`, with `Retry-After`", body = ErrorBody),
        (status = 503, description = "`unavailable`, with `Retry-After`: nothing has ended", body = ErrorBody),
    ),
)]
#[tracing::instrument(name = "logout", skip_all)]
pub async fn logout(
    State(app): State<Arc<App>>,
    caller: Bearer,
    OptionalBody(request): OptionalBody<Request>,
) -> Result<StatusCode, ApiError> {
    let user = caller.user.id;
    app.revoker.check().await?;
    app.limits.count_revocation(user)?;
    let mut change = app.logins.begin().await?;
    let (ended, now) = if request.everywhere {
        change.lock_user(user).await?;
        let now = now();
        (change.end_all(user, None, now).await?, now)
    } else {
        let now = now();
        (change.end_login(caller.login.id, now).await?.into_iter().collect(), now)
    };
    app.revoker.commit(change, &app.revoker.ended(&ended, Reason::Logout, now)).await?;
    count_ended(Reason::Logout, ended.len());
    Ok(StatusCode::NO_CONTENT)
}
