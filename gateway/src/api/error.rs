//! The errors that answer a backend's call.

use std::time::Duration;

use axum::{
    extract::rejection::QueryRejection,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jackfield_cluster::Unavailable;
use jackfield_shared::{error_body::ErrorBody, http::layers::unavailable};
use utoipa::IntoResponses;

use super::keys::Scope;
use crate::{emit::AskError, room::HistoryError};

/// Why a call was refused or failed. The codes are the contract; the texts may change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    /// No key, or an unknown one.
    #[error("Send a valid API key as `Authorization: Bearer <key>`")]
    InvalidKey,
    /// The address sent too many wrong keys; it may try again after this time.
    #[error("Too many wrong API keys, try again later")]
    TooManyWrongKeys(Duration),
    /// The key does not have this scope.
    #[error("The API key must have the scope {}", .0.name())]
    NeedScope(Scope),
    /// One sentence for each error.
    #[error("{}", .0.join("; "))]
    Validation(Vec<String>),
    /// The named thing does not exist.
    #[error("There is no such {0}")]
    NotFound(&'static str),
    /// No facts are recorded.
    #[error("No facts are recorded: set `facts` (FACTS) to `on`")]
    FactsOff,
    /// The same `Idempotency-Key` was used for another call.
    #[error("This Idempotency-Key was used for another call")]
    KeyReused,
    /// More sockets than may be asked for an acknowledgement.
    #[error("{0}")]
    TooManyReceivers(String),
    /// The same call is still running.
    #[error("The call with this Idempotency-Key is still running")]
    InProgress,
    /// Redis did not answer in time: the call may or may not have taken effect.
    #[error("Temporarily unavailable, retry later")]
    Unavailable,
}

impl ApiError {
    /// A validation error with one sentence.
    pub(crate) fn wrong(message: impl Into<String>) -> Self {
        Self::Validation(vec![message.into()])
    }
}

impl From<Unavailable> for ApiError {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

impl From<AskError> for ApiError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Unavailable(unavailable) => unavailable.into(),
            AskError::TooMany(_) => Self::TooManyReceivers(error.to_string()),
        }
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::wrong(rejection.body_text())
    }
}

impl From<HistoryError> for ApiError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Unavailable(unavailable) => unavailable.into(),
            HistoryError::Epoch => Self::NotFound("message in this room"),
            wrong => Self::wrong(wrong.to_string()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = |status, code| ErrorBody::new(status, code, self.to_string());
        match &self {
            Self::InvalidKey => body(StatusCode::UNAUTHORIZED, "invalid_api_key"),
            Self::TooManyWrongKeys(wait) => {
                let seconds = wait.as_secs().saturating_add(1);
                body(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts").retry_after(seconds)
            }
            Self::NeedScope(_) => body(StatusCode::FORBIDDEN, "need_scope"),
            Self::Validation(messages) => ErrorBody::validation(messages.clone()),
            Self::NotFound(_) => body(StatusCode::NOT_FOUND, "not_found"),
            Self::FactsOff => body(StatusCode::NOT_FOUND, "facts_off"),
            Self::KeyReused => body(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
            Self::TooManyReceivers(_) => body(StatusCode::UNPROCESSABLE_ENTITY, "too_many_receivers"),
            Self::InProgress => body(StatusCode::CONFLICT, "in_progress").retry_after(1),
            Self::Unavailable => unavailable(),
        }
        .into_response()
    }
}

/// The errors that every call may answer with, for the OpenAPI document.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "a description")]
pub(crate) enum Errors {
    /// `validation_failed`
    #[response(status = 400)]
    Validation(ErrorBody),
    /// `invalid_api_key`
    #[response(status = 401)]
    InvalidKey(ErrorBody),
    /// `need_scope`
    #[response(status = 403)]
    NeedScope(ErrorBody),
    /// `too_many_attempts`, with `Retry-After`: wrong keys
    #[response(status = 429)]
    TooManyWrongKeys(ErrorBody),
    /// `unavailable`, with `Retry-After`
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

/// The additional errors of every POST.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "a description")]
pub(crate) enum PostErrors {
    /// `in_progress`, with `Retry-After`
    #[response(status = 409)]
    InProgress(ErrorBody),
    /// `payload_too_large`
    #[response(status = 413)]
    TooLarge(ErrorBody),
    /// `unsupported_media_type`
    #[response(status = 415)]
    MediaType(ErrorBody),
    /// `idempotency_key_reused`, `too_many_receivers`
    #[response(status = 422)]
    KeyReused(ErrorBody),
}

/// The additional error of a call whose target may not exist.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "a description")]
pub(crate) enum NotFound {
    /// `not_found`
    #[response(status = 404)]
    NotFound(ErrorBody),
}
