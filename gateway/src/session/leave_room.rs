//! The end of a socket's stay in a room, which the others learn at once: its client leaves, or may not be there any more.

use std::sync::Arc;

use jackfield_cluster::{
    presence::{Ending, Scope},
    recovery::Place,
};
use serde_json::json;

use super::{Client, Connection, Shared};
use crate::room::rules::Action;

/// Leaves a room. False if the socket is not in it.
pub(crate) async fn leave_room(shared: &Shared, client: &Arc<Client>, name: &str) -> bool {
    let Some((number, stay)) = client.left(name) else { return false };
    forget_stay(shared, client, number, name).await;
    if let Scope::Room(room) = &stay.scope {
        shared.rooms.leave(room, client);
    }
    if let Some(incarnation) = shared.lease.incarnation() {
        // The release queue removes the rest of the stay in the background, or all of it if the back end did not answer
        // here.
        let _ = shared.cluster.presence.leave(std::slice::from_ref(&stay), &incarnation, Ending::Left).await;
        shared.releases.push(stay, incarnation);
    }
    true
}

/// Removes a stay from the client's record. If the back end does not answer, a client that comes back soon may be in the
/// room again.
pub(crate) async fn forget_stay(shared: &Shared, client: &Client, number: u32, room: &str) {
    if let Some(record) = client.record() {
        let place = Place { namespace: &client.namespace.name, number, room };
        let _ = shared.cluster.recovery.leave(&client.session_ref(), record, place).await;
    }
}

impl Connection {
    /// Leaves the rooms that the user's roles do not allow any more, and tells the client.
    pub(crate) async fn leave_forbidden_rooms(&self) {
        let roles = self.roles();
        for client in self.sockets() {
            let rooms = client.room_names().into_iter();
            for name in rooms.filter(|name| !self.shared.rules.allow(name, Action::Join, &roles)) {
                if leave_room(&self.shared, &client, &name).await {
                    client.emit("left", &json!({ "room": name, "code": "forbidden" }));
                }
            }
        }
    }
}
