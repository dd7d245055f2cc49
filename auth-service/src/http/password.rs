//! POST `/api/auth/password`: changes the caller's password, and ends the user's other logins.
//!
//! Guarantees: a wrong current password counts as a failed sign-in, with the same limits, so a stolen token does not
//! help to guess it; of the other logins none survives, not even one that opens at the same time with the old password.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use garde::Validate;
use jackfield_shared::error_body::ErrorBody;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{bearer::Bearer, client_address::ClientAddress, error::ApiError, valid::Valid};
use crate::{
    app::App,
    logins::now,
    revoker::{Reason, count_ended},
    rules::{Email, check_password_max_length, check_password_min_length, check_password_variety},
};

/// The old and the new password. Has no `Debug`: a password must not be logged.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = PasswordRequest)]
pub struct Request {
    /// Not checked against the rules for new passwords.
    #[schema(format = "password", example = "P44sw0rd")]
    #[garde(skip)]
    current: String,
    /// An upper-case letter, a lower-case letter, and a digit or a symbol.
    #[schema(
        format = "password",
        min_length = 6,
        max_length = 50,
        example = "P45sw0rd",
        pattern = "^(?=[\\s\\S]*\\p{Lu})(?=[\\s\\S]*\\p{Ll})(?=[\\s\\S]*\\P{L})"
    )]
    #[garde(custom(check_password_min_length), custom(check_password_max_length), custom(check_password_variety))]
    new: String,
}

/// Changes the password. Every other login of the user ends; the one of the token goes on.
#[utoipa::path(
    post, path = "/api/auth/password", tag = "auth", security(("bearer" = [])), request_body = Request,
    responses(
        (status = 204, description = "Changed; gateways disconnect the other logins' sockets within a second"),
        (status = 400, description = "`validation_failed`", body = ErrorBody),
        (status = 401, description = "`invalid_credentials`, `invalid_token`, or `user_inactive`", body = ErrorBody),
        (status = 413, description = "`payload_too_large`", body = ErrorBody),
        (status = 415, description = "`unsupported_media_type`", body = ErrorBody),
        (status = 429, description = "`too_many_attempts`, with `Retry-After`", body = ErrorBody),
        (status = 503, description = "`unavailable`, with `Retry-After`: nothing has changed", body = ErrorBody),
    ),
)]
#[tracing::instrument(name = "password", skip_all)]
pub async fn password(
    State(app): State<Arc<App>>,
    ClientAddress(client): ClientAddress,
    caller: Bearer,
    Valid(request): Valid<Request>,
) -> Result<StatusCode, ApiError> {
    let (user, email) = (caller.user.id, Email::new(&caller.user.email));
    app.limits.may_log_in(&email, client)?;
    app.passwords.check_capacity(client)?;
    app.revoker.check().await?;

    let turn = app.passwords.turn(client).await?;
    // Again, because others may have failed during the wait.
    app.limits.may_log_in(&email, client)?;
    let account = app.users.find(user).await?.ok_or(ApiError::InvalidToken)?;
    let (matches, turn) = turn.verify(request.current, account.password_hash.clone()).await?;
    if !matches {
        app.limits.record_failed_login(&email, client);
        return Err(ApiError::InvalidCredentials);
    }
    app.limits.count_revocation(user)?;
    let (hash, _) = turn.hash(request.new).await?;

    let mut change = app.logins.begin().await?;
    let stored = change.lock_user(user).await?.ok_or(ApiError::InvalidToken)?;
    if !stored.user.is_active {
        return Err(ApiError::UserInactive);
    }
    let now = now();
    if !change.is_open(caller.login.id, now).await? {
        return Err(ApiError::InvalidToken);
    }
    // Another call may have replaced it since it was verified.
    if !change.replace_hash(user, &account.password_hash, &hash).await? {
        return Err(ApiError::InvalidCredentials);
    }
    let ended = change.end_all(user, Some(caller.login.id), now).await?;
    app.revoker.commit(change, &app.revoker.ended(&ended, Reason::PasswordChanged, now)).await?;
    count_ended(Reason::PasswordChanged, ended.len());
    tracing::info!(%user, "password changed");
    Ok(StatusCode::NO_CONTENT)
}
