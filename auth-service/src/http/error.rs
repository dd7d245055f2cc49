//! The errors that answer a request. A temporary one says when to retry; an internal one carries an id that is also in
//! the logs.

use std::time::Duration;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jackfield_shared::{
    error_body::ErrorBody,
    http::layers::{for_status, unavailable},
    ids::new_id,
};

use crate::{
    app::TooMany, demo::DemoError, passwords::PasswordError, refresh_token::NoRandomness, revoker::RevokeError,
    sign_in::SignInError, tokens::SignError, users::UsersError,
};
use jackfield_cluster::revocations::RecordError;

/// When a client with too many waiting requests may retry: some of them are answered by then.
const ADDRESS_BUSY_RETRY: Duration = Duration::from_secs(1);

/// Why a request was refused or failed. The codes are the contract; the texts may change.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No such user, or a wrong password: the client cannot tell which.
    #[error("Invalid Credentials")]
    InvalidCredentials,
    /// No token, not issued here, not valid now, or its login has ended or its user no longer exists.
    #[error("Token not valid")]
    InvalidToken,
    /// The password or the token was right, but the user is deactivated.
    #[error("User is inactive, talk with an admin")]
    UserInactive,
    /// Not a refresh token of an open login, or used before: the client cannot tell which.
    #[error("Refresh token not valid, sign in again")]
    InvalidRefreshToken,
    /// The caller's roles do not allow it.
    #[error("User needs the role ADMIN or SUPERUSER")]
    NeedRole,
    /// No user has the id.
    #[error("no user has this id")]
    NotFound,
    /// The request breaks a rule that needs more than the body to check.
    #[error("{0}")]
    Invalid(String),
    /// Another account has the address.
    #[error("The email address is already registered")]
    EmailTaken,
    /// This service has no demo users.
    #[error("this service has no demo users")]
    NoDemoUsers,
    /// Nobody may do this, or not to this user.
    #[error("{0}")]
    Forbidden(&'static str),
    /// A page of another site made the browser send the request.
    #[error("Pages of other sites may not reset the demo users")]
    CrossSite,
    /// The client signs in, registers or resets too often.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// The database.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// The hasher.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The signer.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The source of secrets.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// The list of revocations; nothing has changed.
    #[error(transparent)]
    Revocations(#[from] RecordError),
}

impl From<DemoError> for ApiError {
    fn from(error: DemoError) -> Self {
        match error {
            DemoError::Password(error) => Self::Password(error),
            DemoError::Users(error) => Self::Users(error),
            DemoError::Revoke(error) => error.into(),
        }
    }
}

impl From<RevokeError> for ApiError {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::Record(error) => Self::Revocations(error),
            RevokeError::Users(error) => Self::Users(error),
        }
    }
}

impl From<SignInError> for ApiError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Users(error) => Self::Users(error),
            SignInError::Random(error) => Self::Random(error),
            SignInError::Sign(error) => Self::Sign(error),
        }
    }
}

impl From<ApiError> for ErrorBody {
    fn from(error: ApiError) -> Self {
        let body = |status, code| Self::new(status, code, error.to_string());
        match &error {
            ApiError::InvalidCredentials => body(StatusCode::UNAUTHORIZED, "invalid_credentials"),
            ApiError::InvalidToken => body(StatusCode::UNAUTHORIZED, "invalid_token"),
            ApiError::UserInactive => body(StatusCode::UNAUTHORIZED, "user_inactive"),
            ApiError::InvalidRefreshToken => body(StatusCode::UNAUTHORIZED, "invalid_refresh_token"),
            ApiError::NeedRole => body(StatusCode::FORBIDDEN, "need_role"),
            ApiError::NotFound => body(StatusCode::NOT_FOUND, "not_found"),
            ApiError::Invalid(text) => Self::validation(vec![text.clone()]),
            ApiError::EmailTaken => body(StatusCode::BAD_REQUEST, "email_taken"),
            ApiError::NoDemoUsers => for_status(StatusCode::NOT_FOUND),
            ApiError::Forbidden(_) => body(StatusCode::FORBIDDEN, "forbidden"),
            ApiError::CrossSite => body(StatusCode::FORBIDDEN, "forbidden"),
            ApiError::TooMany(TooMany { wait }) => {
                body(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts").retry_after(seconds(*wait))
            }
            ApiError::Password(PasswordError::AddressBusy) => {
                ApiError::TooMany(TooMany { wait: ADDRESS_BUSY_RETRY }).into()
            }
            ApiError::Password(PasswordError::Busy) => unavailable(),
            ApiError::Users(UsersError::Unavailable(cause)) => {
                tracing::warn!(%cause, "database unavailable, answering 503; check `database.url` (DATABASE_URL)");
                unavailable()
            }
            ApiError::Revocations(cause) => {
                match cause {
                    RecordError::Unavailable(_) => tracing::warn!(
                        "Redis unavailable, answering 503: gateways cannot be told which tokens are revoked, so \
                         nothing was changed; check `redis.url` (REDIS_URL) and the other settings `redis.…`"
                    ),
                    RecordError::Full => tracing::warn!(
                        "the list of revocations is full, answering 503: nothing was changed; entries leave it as \
                         their tokens expire"
                    ),
                }
                unavailable()
            }
            ApiError::Users(_) | ApiError::Password(_) | ApiError::Sign(_) | ApiError::Random(_) => internal(error),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        ErrorBody::from(self).into_response()
    }
}

/// 500, and the whole chain of causes in the logs.
fn internal(error: ApiError) -> ErrorBody {
    let id = new_id();
    let error = format!("{:#}", anyhow::Error::from(error));
    tracing::error!(%id, error, "request failed with an internal error");
    ErrorBody::internal(&id)
}

/// Whole seconds, rounded up, so that a retry is never early; at least 1.
fn seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_after_the_wait_is_not_early() {
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_secs(7)), 7);
        assert_eq!(seconds(Duration::from_millis(7_001)), 8);
    }

    #[test]
    fn inner_errors_are_not_shown() {
        let inner = UsersError::Refused(sqlx::Error::Protocol("secret detail".into()));
        let body = ErrorBody::from(ApiError::from(inner));
        assert_eq!((body.status_code, body.code), (500, "internal"));
        assert!(!serde_json::to_string(&body).unwrap().contains("secret"));
    }

    #[test]
    fn temporary_failures_say_when_to_retry() {
        let away = ErrorBody::from(ApiError::from(UsersError::from(sqlx::Error::PoolTimedOut)));
        assert_eq!((away.status_code, away.code, away.retry_after), (503, "unavailable", Some(2)));
        let busy = ErrorBody::from(ApiError::from(PasswordError::Busy));
        assert_eq!(busy, away);
        let address_busy = ErrorBody::from(ApiError::from(PasswordError::AddressBusy));
        assert_eq!(
            (address_busy.status_code, address_busy.code, address_busy.retry_after),
            (429, "too_many_attempts", Some(1))
        );
    }
}
