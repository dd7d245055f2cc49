//! The answers that hold tokens.

use axum::{
    Json,
    http::{StatusCode, header::CACHE_CONTROL},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{sign_in::Opened, users::User};

/// A token and its user.
#[derive(Serialize, ToSchema)]
pub struct Session {
    /// For `Authorization: Bearer …` and for the gateway.
    pub token: String,
    /// The user that the token identifies.
    pub user: User,
}

/// A new login's tokens, and its user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignedIn {
    /// For `Authorization: Bearer …` and for the gateway.
    pub token: String,
    /// For `/api/auth/refresh`, once.
    #[schema(example = "jfr_AZq8…")]
    pub refresh_token: String,
    /// The user that the token identifies.
    pub user: User,
}

/// A login's next tokens.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refreshed {
    /// For `Authorization: Bearer …` and for the gateway.
    pub token: String,
    /// For the next refresh; the one before is not accepted again.
    #[schema(example = "jfr_AZq8…")]
    pub refresh_token: String,
}

impl SignedIn {
    /// The answer for a login that has opened.
    #[must_use]
    pub fn new(opened: &Opened, user: User) -> Self {
        Self { token: opened.token.clone(), refresh_token: opened.refresh_token.to_text(), user }
    }
}

/// The response, which no cache may keep.
#[must_use]
pub fn response(status: StatusCode, body: impl Serialize) -> Response {
    (status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}
