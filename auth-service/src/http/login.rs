//! POST `/api/auth/login`: signs in.
//!
//! Guarantees: an unknown address gets the same answer as a wrong password, after the same time. Only failed attempts
//! count against the limit, so many sign-ins of one user at the same time are fine.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use garde::Validate;
use jackfield_shared::{error_body::ErrorBody, ids::new_id, time::unix_now};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{client_address::ClientAddress, error::ApiError, session::Session, valid::Valid};
use crate::{
    app::App,
    passwords::Turn,
    rules::{Email, check_email},
    users::Account,
};

/// A request to sign in. Has no `Debug`: a password must not be logged.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = LoginRequest)]
pub struct Request {
    /// Trimmed and lower-cased before anything is done with it.
    #[schema(format = "email", max_length = 254, example = "test1@mail.com")]
    #[garde(custom(check_email))]
    email: String,
    /// Not checked against the rules for new passwords.
    #[schema(format = "password", example = "test123")]
    #[garde(skip)]
    password: String,
}

/// Signs in with address and password.
#[utoipa::path(
    post, path = "/api/auth/login", tag = "auth", request_body = Request,
    responses(
        (status = 200, description = "Signed in", body = Session),
        (status = 400, description = "`validation_failed`", body = ErrorBody),
        (status = 401, description = "`invalid_credentials`, or `user_inactive`", body = ErrorBody),
        (status = 413, description = "`payload_too_large`", body = ErrorBody),
        (status = 415, description = "`unsupported_media_type`", body = ErrorBody),
        (status = 429, description = "`too_many_attempts`, with `Retry-After`", body = ErrorBody),
        (status = 503, description = "`unavailable`, with `Retry-After`", body = ErrorBody),
    ),
)]
#[tracing::instrument(name = "login", skip_all)]
pub async fn login(
    State(app): State<Arc<App>>,
    ClientAddress(client): ClientAddress,
    Valid(request): Valid<Request>,
) -> Result<Response, ApiError> {
    let email = Email::new(&request.email);
    app.limits.may_log_in(&email, client)?;
    app.passwords.check_capacity(client)?;
    let account = app.users.find_by_email(&email).await?;

    let turn = app.passwords.turn(client).await?;
    // Again, because others may have failed during the wait: only requests that have a turn now can slip through.
    app.limits.may_log_in(&email, client)?;
    let hash = account.as_ref().map_or(app.passwords.dummy_hash(), |account| &account.password_hash);
    let (matches, turn) = turn.verify(request.password.clone(), hash.to_owned()).await?;
    let Some(account) = account.filter(|_| matches) else {
        app.limits.record_failed_login(&email, client);
        return Err(ApiError::InvalidCredentials);
    };

    if !account.user.is_active {
        return Err(ApiError::UserInactive);
    }
    if app.passwords.is_outdated(&account.password_hash) {
        rehash(&app, turn, &account, request.password).await;
    } else {
        drop(turn);
    }
    let token = app.tokens.issue(&account.user, &new_id(), unix_now())?;
    Ok(Session { token, user: account.user }.response(StatusCode::OK))
}

/// Hashes the password at the current cost. The sign-in succeeds even if this fails.
async fn rehash(app: &App, turn: Turn, account: &Account, password: String) {
    const FAILED: &str = "cannot rehash the password at the current cost; the next sign-in retries";
    let user = account.user.id;
    let hash = match turn.hash(password).await {
        Ok((hash, _)) => hash,
        Err(error) => return tracing::warn!(%user, %error, "{FAILED}"),
    };
    match app.users.replace_hash(user, &account.password_hash, &hash).await {
        Ok(_) => tracing::info!(%user, "rehashed the password at the current cost"),
        Err(error) => tracing::warn!(%user, %error, "{FAILED}"),
    }
}
