//! The parts that the events of rooms share: checks of the room's name, membership and roles, and the end of a stay in
//! the client's record.

use jackfield_cluster::{recovery::Place, room_name::RoomName};

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

/// Removes a stay from the client's record. If the back end does not answer, a client that comes back soon may be in the
/// room again.
pub(super) async fn forget_stay(sender: &Sender<'_>, number: u32, room: &str) {
    if let Some(record) = sender.client.record() {
        let place = Place { namespace: &sender.client.namespace.name, number, room };
        let _ = sender.shared.cluster.recovery.leave(&sender.client.session_ref(), record, place).await;
    }
}

/// Checks that the client's roles allow the action.
pub(super) fn authorize(sender: &Sender<'_>, name: &str, action: Action) -> Result<(), EventError> {
    match sender.shared.rules.allow(name, action, &sender.client.identity.roles) {
        true => Ok(()),
        false => Err(EventError::Forbidden("Your roles do not allow this")),
    }
}
