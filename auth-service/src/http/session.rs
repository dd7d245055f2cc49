//! The answer to a client that has signed in.

use axum::{
    Json,
    http::{StatusCode, header::CACHE_CONTROL},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::users::User;

/// A token and its user.
#[derive(Serialize, ToSchema)]
pub struct Session {
    /// For `Authorization: Bearer …` and for the gateway.
    pub token: String,
    /// The user that the token identifies.
    pub user: User,
}

impl Session {
    /// The response, which no cache may keep.
    #[must_use]
    pub fn response(self, status: StatusCode) -> Response {
        (status, [(CACHE_CONTROL, "no-store")], Json(self)).into_response()
    }
}
