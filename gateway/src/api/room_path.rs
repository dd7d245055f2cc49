//! Parses the rooms and namespaces in the API's paths, queries and bodies.

use jackfield_cluster::room_name::RoomName;

use super::error::ApiError;
use crate::session::NAMESPACES;

/// The room of this name; in the main namespace if none is given.
pub(crate) fn room(namespace: Option<&str>, name: &str) -> Result<RoomName, ApiError> {
    RoomName::parse(&namespace_of(namespace)?.into(), name).ok_or_else(|| {
        ApiError::wrong("room must be 1 to 64 letters, digits, _ . : or -, and must not begin with user:")
    })
}

/// One of the namespaces that have rooms.
pub(crate) fn namespace_of(name: Option<&str>) -> Result<&'static str, ApiError> {
    let name = name.unwrap_or(NAMESPACES[0]);
    let known = NAMESPACES.into_iter().find(|known| *known == name);
    known.ok_or_else(|| ApiError::wrong(format!("namespace must be one of {}", NAMESPACES.join(", "))))
}
