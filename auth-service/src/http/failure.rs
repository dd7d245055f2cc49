//! Turns internal failures into error responses: a temporary failure says when to retry, any other carries an id that
//! is also in the logs.

use std::{error::Error, time::Duration};

use axum::http::StatusCode;
use jackfield_shared::{error_body::ErrorBody, http::layers::unavailable, ids::new_id};

use crate::{app::TooMany, demo::DemoError, passwords::PasswordError, tokens::SignError, users::UsersError};

/// When a client with too many waiting requests may retry: some of them are answered by then.
const ADDRESS_BUSY_RETRY: Duration = Duration::from_secs(1);

/// Internal failures that the endpoints have in common.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The database.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// The hasher.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The signer.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Self {
        match error {
            DemoError::Password(error) => Self::Password(error),
            DemoError::Users(error) => Self::Users(error),
        }
    }
}

impl From<Failure> for ErrorBody {
    fn from(failure: Failure) -> Self {
        match &failure {
            Failure::Password(PasswordError::Busy) => unavailable(),
            Failure::Password(PasswordError::AddressBusy) => TooMany { wait: ADDRESS_BUSY_RETRY }.into(),
            Failure::Users(UsersError::Unavailable(cause)) => {
                tracing::warn!(%cause, "database unavailable, answering 503; check `database.url` (DATABASE_URL)");
                unavailable()
            }
            _ => internal(&failure),
        }
    }
}

impl From<TooMany> for ErrorBody {
    fn from(error: TooMany) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", error.to_string())
            .retry_after(seconds(error.wait))
    }
}

/// 500, and the whole chain of causes in the logs.
pub(crate) fn internal(error: &(dyn Error + 'static)) -> ErrorBody {
    let id = new_id();
    let error = anyhow::Chain::new(error).map(ToString::to_string).collect::<Vec<_>>().join(": ");
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
        let body = ErrorBody::from(Failure::from(inner));
        assert_eq!((body.status_code, body.code), (500, "internal"));
        assert!(!serde_json::to_string(&body).unwrap().contains("secret"));
    }

    #[test]
    fn temporary_failures_say_when_to_retry() {
        let away = ErrorBody::from(Failure::from(UsersError::from(sqlx::Error::PoolTimedOut)));
        assert_eq!((away.status_code, away.code, away.retry_after), (503, "unavailable", Some(2)));
        let busy = ErrorBody::from(Failure::from(PasswordError::Busy));
        assert_eq!(busy, away);
        let address_busy = ErrorBody::from(Failure::from(PasswordError::AddressBusy));
        assert_eq!(
            (address_busy.status_code, address_busy.code, address_busy.retry_after),
            (429, "too_many_attempts", Some(1))
        );
    }
}
