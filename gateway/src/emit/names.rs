//! The checks of names in what backends send: rooms, namespaces, users. An error is one sentence.

use std::{collections::HashSet, sync::Arc};

use jackfield_cluster::room_name::RoomName;
use utoipa::openapi::schema::{Array, ArrayBuilder, ObjectBuilder, Type};

use crate::{
    session::NAMESPACES,
    user_id::{MAX_USER_ID, is_user_id},
};

/// Most users in one call.
const MAX_USERS: usize = 10_000;

/// The room of this name; in the main namespace if none is given.
pub(crate) fn room(namespace: Option<&str>, name: &str) -> Result<RoomName, String> {
    RoomName::parse(&namespace_of(namespace)?.into(), name)
        .ok_or_else(|| "room must be 1 to 64 letters, digits, _ . : or -, and must not begin with user:".to_owned())
}

/// One of the namespaces that have rooms.
pub(crate) fn namespace_of(name: Option<&str>) -> Result<&'static str, String> {
    let name = name.unwrap_or(NAMESPACES[0]);
    let known = NAMESPACES.into_iter().find(|known| *known == name);
    known.ok_or_else(|| format!("namespace must be one of {}", NAMESPACES.join(", ")))
}

/// Checks one user's id; an error names `field`.
pub(crate) fn check_user(field: &str, id: &str) -> Result<(), String> {
    match is_user_id(id) {
        true => Ok(()),
        false => Err(format!("{field} must have 1 to {MAX_USER_ID} characters")),
    }
}

/// Checks many users' ids, and returns them without duplicates, in their order; an error names `field`.
pub(crate) fn check_users(field: &str, ids: Vec<Arc<str>>) -> Result<Vec<Arc<str>>, String> {
    if !(1..=MAX_USERS).contains(&ids.len()) {
        return Err(format!("{field} must have 1 to {MAX_USERS} entries"));
    }
    for (index, id) in ids.iter().enumerate() {
        check_user(&format!("{field}[{index}]"), id)?;
    }
    let mut seen = HashSet::with_capacity(ids.len());
    Ok(ids.into_iter().filter(|id| seen.insert(Arc::clone(id))).collect())
}

/// The input of [`check_users`], for the OpenAPI document.
pub(crate) fn user_ids() -> Array {
    let id = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(MAX_USER_ID));
    ArrayBuilder::new().items(id).min_items(Some(1)).max_items(Some(MAX_USERS)).build()
}
