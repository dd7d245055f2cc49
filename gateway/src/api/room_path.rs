//! Rooms as the API's paths, queries and bodies name them.

use super::error::ApiError;
use crate::{cluster::room_name::RoomName, node::NAMESPACES};

/// The room of this name; in the main namespace if none is given.
pub fn room(namespace: Option<&str>, name: &str) -> Result<RoomName, ApiError> {
    RoomName::parse(&namespace_of(namespace)?.into(), name)
        .ok_or_else(|| ApiError::wrong("room must have 1 to 64 of letters, digits, _ . : - and not begin with user:"))
}

/// One of the namespaces that have rooms.
pub fn namespace_of(name: Option<&str>) -> Result<&'static str, ApiError> {
    let name = name.unwrap_or(NAMESPACES[0]);
    let known = NAMESPACES.into_iter().find(|known| *known == name);
    known.ok_or_else(|| ApiError::wrong(format!("namespace must be one of {}", NAMESPACES.join(", "))))
}
