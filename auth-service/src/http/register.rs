//! POST `/api/auth/register`: a new account, signed in at once.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use garde::Validate;
use jackfield_shared::{claims::Role, error_body::ErrorBody};
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
    rules::{
        Email, check_email, check_full_name, check_password_max_length, check_password_min_length,
        check_password_variety,
    },
    sign_in,
    users::{Account, User},
};

/// A request to register. Has no `Debug`: a password must not be logged.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = RegisterRequest)]
pub struct Request {
    /// Trimmed and lower-cased before anything is done with it.
    #[schema(format = "email", max_length = 254, example = "ann@mail.com")]
    #[garde(custom(check_email))]
    email: String,
    /// An upper-case letter, a lower-case letter, and a digit or a symbol.
    #[schema(
        format = "password",
        min_length = 6,
        max_length = 50,
        example = "P44sw0rd",
        pattern = "^(?=[\\s\\S]*\\p{Lu})(?=[\\s\\S]*\\p{Ll})(?=[\\s\\S]*\\P{L})"
    )]
    #[garde(custom(check_password_min_length), custom(check_password_max_length), custom(check_password_variety))]
    password: String,
    /// Trimmed; shown to others.
    #[schema(
        max_length = 100,
        example = "Ann Lee",
        pattern = "^(?!\\s*[Ss]\\s*[Yy]\\s*[Ss]\\s*[Tt]\\s*[Ee]\\s*[Mm]\\s*$)[^\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u206f]*\
            [^\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u206f\\s\\u00ad\\u034f\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200d\\u2060-\\u2065\\u2800\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb]\
            [^\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u206f]*$"
    )]
    #[garde(custom(check_full_name))]
    full_name: String,
}

/// Creates an account with the role USER and signs in.
#[utoipa::path(
    post, path = "/api/auth/register", tag = "auth", request_body = Request,
    responses(
        (status = 201, description = "The account, signed in", body = SignedIn),
        (status = 400, description = "`validation_failed`, or `email_taken`", body = ErrorBody),
        (status = 413, description = "`payload_too_large`", body = ErrorBody),
        (status = 415, description = "`unsupported_media_type`", body = ErrorBody),
        (status = 429, description = "`too_many_attempts`, with `Retry-After`", body = ErrorBody),
        (status = 503, description = "`unavailable`, with `Retry-After`", body = ErrorBody),
    ),
)]
#[tracing::instrument(name = "register", skip_all)]
pub async fn register(
    State(app): State<Arc<App>>,
    ClientAddress(client): ClientAddress,
    Valid(request): Valid<Request>,
) -> Result<Response, ApiError> {
    app.limits.count_registration(client)?;
    let email = Email::new(&request.email);
    let turn = app.passwords.turn(client).await?;
    let (password_hash, _) = turn.hash(request.password).await?;
    let user = User::new(&email, request.full_name.trim(), &[Role::User]);
    let account = Account { user, password_hash };
    let opened = sign_in::register(&app, &account).await?.ok_or(ApiError::EmailTaken)?;
    tracing::info!(user = %account.user.id, "user registered");
    Ok(response(StatusCode::CREATED, SignedIn::new(&opened, account.user)))
}
