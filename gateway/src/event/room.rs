//! The checks that the events of rooms share: the room's name, membership and roles.

use jackfield_cluster::room_name::RoomName;

use super::EventError;
use crate::{
    room::{Room, rules::Action},
    session::{Client, Sender},
};

/// The room of this name in the client's namespace.
pub(super) fn name(sender: &Sender<'_>, name: &str) -> Result<RoomName, EventError> {
    RoomName::parse(&sender.client.namespace.name, name).ok_or_else(|| {
        EventError::Validation("room must be 1 to 64 letters, digits, _ . : or -, and must not begin with user:".into())
    })
}

/// The room, if the client is in it.
pub(super) fn joined(sender: &Sender<'_>, name: &str) -> Result<Room<Client>, EventError> {
    sender.client.room(name).ok_or_else(|| EventError::NotInRoom(name.chars().take(64).collect()))
}

/// The room, if the client is in it and may send to it.
pub(super) fn to_send(sender: &Sender<'_>, name: &str) -> Result<Room<Client>, EventError> {
    let room = joined(sender, name)?;
    authorize(sender, name, Action::Send)?;
    Ok(room)
}

/// Checks that the client's roles allow the action.
pub(super) fn authorize(sender: &Sender<'_>, name: &str, action: Action) -> Result<(), EventError> {
    match sender.shared.rules.allow(name, action, &sender.connection.roles()) {
        true => Ok(()),
        false => Err(EventError::Forbidden("Your roles do not allow this")),
    }
}
