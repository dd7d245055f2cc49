//! What a backend is told when a call cannot be done.

use std::time::Duration;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jackfield_shared::{
    error_body::ErrorBody,
    http::{docs::ErrorDoc, layers::unavailable},
};
use utoipa::IntoResponses;

use super::keys::Scope;
use crate::{cluster::Unavailable, room::HistoryError};

/// Why a call was not done. The codes are the contract; the words may change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// No key, or one that nobody has.
    #[error("Send a valid API key as `Authorization: Bearer <key>`")]
    InvalidKey,
    /// The address sent too many wrong keys; it may come back after this time.
    #[error("Too many wrong API keys, try again later")]
    TooManyWrongKeys(Duration),
    /// The key is not good for this.
    #[error("This needs a key with the scope {}", .0.name())]
    NeedScope(Scope),
    /// A sentence for each thing that is wrong.
    #[error("{}", .0.join("; "))]
    Validation(Vec<String>),
    /// There is no such thing.
    #[error("There is no such {0}")]
    NotFound(&'static str),
    /// The same `Idempotency-Key` came with another call.
    #[error("This Idempotency-Key was used for another call")]
    KeyReused,
    /// The same call is being done at this moment.
    #[error("The call with this Idempotency-Key is being done")]
    InProgress,
    /// Redis did not answer in time: it may or may not have been done.
    #[error("Not available at the moment, try again")]
    Unavailable,
}

impl ApiError {
    /// One thing is wrong with the input.
    pub fn wrong(message: impl Into<String>) -> Self {
        Self::Validation(vec![message.into()])
    }
}

impl From<Unavailable> for ApiError {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
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
            Self::KeyReused => body(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
            Self::InProgress => body(StatusCode::CONFLICT, "in_progress").retry_after(1),
            Self::Unavailable => unavailable(),
        }
        .into_response()
    }
}

/// What every call may answer, as the document says it.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "a description")]
pub enum Errors {
    /// `validation_failed`
    #[response(status = 400)]
    Validation(ErrorDoc),
    /// `invalid_api_key`
    #[response(status = 401)]
    InvalidKey(ErrorDoc),
    /// `need_scope`
    #[response(status = 403)]
    NeedScope(ErrorDoc),
    /// `too_many_attempts`, with `Retry-After`: wrong keys
    #[response(status = 429)]
    TooManyWrongKeys(ErrorDoc),
    /// `unavailable`, with `Retry-After`
    #[response(status = 503)]
    Unavailable(ErrorDoc),
}

/// What every POST may answer, as the document says it.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "a description")]
pub enum PostErrors {
    /// `validation_failed`
    #[response(status = 400)]
    Validation(ErrorDoc),
    /// `invalid_api_key`
    #[response(status = 401)]
    InvalidKey(ErrorDoc),
    /// `need_scope`
    #[response(status = 403)]
    NeedScope(ErrorDoc),
    /// `in_progress`, with `Retry-After`
    #[response(status = 409)]
    InProgress(ErrorDoc),
    /// `payload_too_large`
    #[response(status = 413)]
    TooLarge(ErrorDoc),
    /// `unsupported_media_type`
    #[response(status = 415)]
    MediaType(ErrorDoc),
    /// `idempotency_key_reused`
    #[response(status = 422)]
    KeyReused(ErrorDoc),
    /// `too_many_attempts`, with `Retry-After`: wrong keys
    #[response(status = 429)]
    TooManyWrongKeys(ErrorDoc),
    /// `unavailable`, with `Retry-After`
    #[response(status = 503)]
    Unavailable(ErrorDoc),
}

/// What a call about something that may not be there answers besides.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "a description")]
pub enum Missing {
    /// `not_found`
    #[response(status = 404)]
    NotFound(ErrorDoc),
}
