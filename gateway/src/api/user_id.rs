//! Users' ids in paths and bodies.

use std::sync::Arc;

use super::error::ApiError;
use crate::emit;
pub(crate) use crate::emit::user_ids as many;

/// Checks one id; an error names `field`.
pub(crate) fn check(field: &str, id: &str) -> Result<(), ApiError> {
    emit::check_user(field, id).map_err(ApiError::wrong)
}

/// Checks many ids, and returns them without duplicates, in their order; an error names `field`.
pub(crate) fn check_many(field: &str, ids: Vec<Arc<str>>) -> Result<Vec<Arc<str>>, ApiError> {
    emit::check_users(field, ids).map_err(ApiError::wrong)
}
