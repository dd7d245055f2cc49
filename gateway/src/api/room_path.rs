//! Parses the rooms in the API's paths, queries and bodies.

use jackfield_cluster::room_name::RoomName;

use super::error::ApiError;
use crate::emit;

/// The room of this name; in the main namespace if none is given.
pub(crate) fn room(namespace: Option<&str>, name: &str) -> Result<RoomName, ApiError> {
    emit::room(namespace, name).map_err(ApiError::wrong)
}
