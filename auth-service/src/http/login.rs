//! POST `/api/auth/login`: signs in.
//!
//! Guarantees: an unknown address gets the same answer as a wrong password, after the same time, and so does a wrong
//! password of an inactive user. Only failed attempts count against the limit, so many sign-ins of one user at the same
//! time are fine. A sign-in whose password or user changes meanwhile is judged again.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use garde::Validate;
use jackfield_shared::error_body::ErrorBody;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    client_address::ClientAddress,
    error::ApiError,
    session::{SignedIn, response},
    valid::Valid,
};
use crate::{
    app::App,
    passwords::Turn,
    rules::{Email, check_email},
    sign_in,
    users::Account,
};

/// How often a sign-in is judged again because the account changed meanwhile.
const ATTEMPTS: usize = 3;

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
        (status = 200, description = "Signed in", body = SignedIn),
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
    let mut found = app.users.find_by_email(&email).await?;

    let mut turn = app.passwords.turn(client).await?;
    // Again, because others may have failed during the wait: only requests that have a turn now can slip through.
    app.limits.may_log_in(&email, client)?;
    for _ in 0..ATTEMPTS {
        let hash = found.as_ref().map_or(app.passwords.dummy_hash(), |account| &account.password_hash);
        let (matches, next) = turn.verify(request.password.clone(), hash.to_owned()).await?;
        turn = next;
        let Some(account) = found.filter(|_| matches) else {
            app.limits.record_failed_login(&email, client);
            return Err(ApiError::InvalidCredentials);
        };
        if !account.user.is_active {
            return Err(ApiError::UserInactive);
        }
        if let Some(opened) = sign_in::open(&app, &account).await? {
            if app.passwords.is_outdated(&account.password_hash) {
                rehash(&app, turn, &account, request.password).await;
            }
            return Ok(response(StatusCode::OK, SignedIn::new(&opened, account.user)));
        }
        found = app.users.find_by_email(&email).await?;
    }
    Err(ApiError::InvalidCredentials)
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
