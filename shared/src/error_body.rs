//! The one shape of an HTTP error: the one that Nest clients already read, plus a stable code.
//!
//! `{"statusCode":400,"error":"Bad Request","code":"validation_failed","message":["email must be an email"]}`

use axum::{
    Json,
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

/// The text for people: a list for validation errors, one sentence otherwise.
#[derive(Debug, Clone, Serialize, PartialEq, Eq, ToSchema)]
#[schema(as = ErrorMessage)]
#[serde(untagged)]
pub enum Message {
    /// One sentence.
    One(String),
    /// One sentence for each thing that is wrong.
    Many(Vec<String>),
}

/// An HTTP error as it leaves the service. Never holds a secret or the text of an inner error. Codes are `snake_case`;
/// messages may change.
#[derive(Debug, Clone, Serialize, PartialEq, Eq, ToSchema)]
#[schema(as = Error, description = "Every error's body.")]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody {
    /// The HTTP status, repeated.
    #[schema(example = 400)]
    pub status_code: u16,
    /// The status's standard phrase.
    #[schema(example = "Bad Request")]
    pub error: &'static str,
    /// Stable, for programs.
    #[schema(example = "validation_failed")]
    pub code: &'static str,
    /// For people: a list for validation errors, one sentence otherwise.
    pub message: Message,
    /// Seconds after which to try again, sent as `Retry-After`.
    #[serde(skip)]
    pub retry_after: Option<u64>,
}

impl ErrorBody {
    /// An error with one sentence.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::build(status, code, Message::One(message.into()))
    }

    /// 400 `validation_failed`, a sentence for each field that is wrong.
    #[must_use]
    pub fn validation(messages: Vec<String>) -> Self {
        Self::build(StatusCode::BAD_REQUEST, "validation_failed", Message::Many(messages))
    }

    /// 500 `internal`, whose message holds only an id that is also in the logs.
    #[must_use]
    pub fn internal(id: &str) -> Self {
        let message = format!("Unexpected error: find {id} in the server's logs");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// The same error with a `Retry-After` header.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    fn build(status: StatusCode, code: &'static str, message: Message) -> Self {
        let error = status.canonical_reason().unwrap_or("Error");
        Self { status_code: status.as_u16(), error, code, message, retry_after: None }
    }
}

impl IntoResponse for ErrorBody {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status_code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after.map(|seconds| [(RETRY_AFTER, seconds.to_string())]);
        (status, retry_after, Json(self)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_is_what_nest_clients_read() {
        let body = ErrorBody::validation(vec!["email must be an email".into()]);
        assert_eq!(
            serde_json::to_string(&body).unwrap(),
            r#"{"statusCode":400,"error":"Bad Request","code":"validation_failed","message":["email must be an email"]}"#
        );
    }

    #[test]
    fn retry_after_is_a_header_and_not_in_the_body() {
        let response = ErrorBody::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", "Later").retry_after(7);
        assert_eq!(response.clone().into_response().headers()[RETRY_AFTER], "7");
        assert!(!serde_json::to_string(&response).unwrap().contains("retry"));
    }
}
