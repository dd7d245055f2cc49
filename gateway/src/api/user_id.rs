//! Users' ids in paths and bodies.

use std::sync::Arc;

use utoipa::openapi::schema::{Array, ArrayBuilder, ObjectBuilder, Type};

use super::{error::ApiError, state::MAX_USERS};
use crate::user_id::{MAX_USER_ID, is_user_id};

/// The input of [`check_many`], for the OpenAPI document.
pub(crate) fn many() -> Array {
    let id = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(MAX_USER_ID));
    ArrayBuilder::new().items(id).min_items(Some(1)).max_items(Some(MAX_USERS)).build()
}

/// Checks one id; an error names `field`.
pub(crate) fn check(field: &str, id: &str) -> Result<(), ApiError> {
    match is_user_id(id) {
        true => Ok(()),
        false => Err(ApiError::wrong(format!("{field} must have 1 to {MAX_USER_ID} characters"))),
    }
}

/// Checks many ids, and returns them without duplicates, in their order; an error names `field`.
pub(crate) fn check_many(field: &str, ids: Vec<Arc<str>>) -> Result<Vec<Arc<str>>, ApiError> {
    if !(1..=MAX_USERS).contains(&ids.len()) {
        return Err(ApiError::wrong(format!("{field} must have 1 to {MAX_USERS} entries")));
    }
    for (index, id) in ids.iter().enumerate() {
        check(&format!("{field}[{index}]"), id)?;
    }
    let mut seen = std::collections::HashSet::with_capacity(ids.len());
    Ok(ids.into_iter().filter(|id| seen.insert(Arc::clone(id))).collect())
}
