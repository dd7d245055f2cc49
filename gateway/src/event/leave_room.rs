//! `leave-room` `"room"` or `{room}`: the others get `user-left` `{userId, name, room}` at once, without a grace.

use jackfield_cluster::presence::{Ending, Scope};
use serde::{Deserialize, Serialize};

use super::{
    EventError,
    parse::{Event, TextOr},
    room,
};
use crate::session::Sender;

#[derive(Deserialize)]
#[serde(expecting = "room's name or {room}")]
struct Args {
    room: String,
}

#[derive(Serialize)]
pub(super) struct Left {
    status: &'static str,
    room: String,
}

pub(super) async fn handle(sender: &Sender<'_>, event: &Event<'_>) -> Result<Left, EventError> {
    let (TextOr::Text(name) | TextOr::Other(Args { room: name })) = event.text_or()?;
    room::joined(sender, &name)?;
    let shared = sender.shared;
    if let Some((number, stay)) = sender.client.left(&name) {
        room::forget_stay(sender, number, &name).await;
        if let Scope::Room(room) = &stay.scope {
            shared.rooms.leave(room, sender.client);
        }
        if let Some(incarnation) = shared.lease.incarnation() {
            // The release queue removes the rest of the stay in the background, or all of it if the back end did not
            // answer here.
            let _ = shared.cluster.presence.leave(std::slice::from_ref(&stay), &incarnation, Ending::Left).await;
            shared.releases.push(stay, incarnation);
        }
    }
    Ok(Left { status: "ok", room: name })
}
