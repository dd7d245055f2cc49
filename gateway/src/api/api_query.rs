//! A call's query, refused with the API's errors instead of axum's.

use axum::extract::{FromRequestParts, Query};

use super::error::ApiError;

/// See the module.
#[derive(FromRequestParts)]
#[from_request(via(Query), rejection(ApiError))]
pub(crate) struct ApiQuery<T>(pub(crate) T);
