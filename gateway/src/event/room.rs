//! Checks that the events of rooms share: the room's name, membership and roles.

use crate::{
    client::Client,
    cluster::room_name::RoomName,
    room::{Room, rules::Wish},
};

use super::EventError;

/// The room of this name in the client's namespace.
pub(super) fn name(client: &Client, name: &str) -> Result<RoomName, EventError> {
    RoomName::parse(&client.namespace.name, name).ok_or_else(|| {
        EventError::Validation("room must have 1 to 64 of letters, digits, _ . : - and not begin with user:".into())
    })
}

/// The room, if the client is in it.
pub(super) fn joined(client: &Client, name: &str) -> Result<Room, EventError> {
    client.room(name).ok_or_else(|| EventError::NotInRoom(name.chars().take(64).collect()))
}

/// The room, if the client is in it and may send to it.
pub(super) fn to_speak(client: &Client, name: &str) -> Result<Room, EventError> {
    let room = joined(client, name)?;
    may(client, name, Wish::Send)?;
    Ok(room)
}

/// Checks that the client's roles allow it.
pub(super) fn may(client: &Client, name: &str, wish: Wish) -> Result<(), EventError> {
    match client.node.rules.allow(name, wish, &client.identity.roles) {
        true => Ok(()),
        false => Err(EventError::Forbidden("Your roles do not allow it")),
    }
}
