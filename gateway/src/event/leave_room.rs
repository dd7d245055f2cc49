//! `leave-room` `"room"` or `{room}`: the others get `user-left` `{userId, name, room}`, at once.

use serde::{Deserialize, Serialize};

use super::{
    EventError,
    parse::{Event, TextOr},
    room,
};
use crate::{
    client::Client,
    cluster::{ids::IndexEntry, room_presence::Ending},
};

#[derive(Deserialize)]
#[serde(expecting = "room's name or {room}")]
struct Wanted {
    room: String,
}

#[derive(Serialize)]
pub(super) struct Left {
    status: &'static str,
    room: String,
}

pub(super) async fn handle(client: &Client, event: &Event<'_>) -> Result<Left, EventError> {
    let (TextOr::Text(name) | TextOr::Other(Wanted { room: name })) = event.text_or()?;
    room::joined(client, &name)?;
    let node = &client.node;
    if let Some(stay) = client.left(&name) {
        node.rooms.leave(&stay.room, &client.id).await;
        if let Some(incarnation) = node.incarnation() {
            // The release queue removes the rest of the stay in the background: all of it if the back end did not
            // answer.
            let _ = node.cluster.room_presence.leave(std::slice::from_ref(&stay), &incarnation, Ending::Left).await;
            node.departures.push(IndexEntry::Room(stay), incarnation);
        }
    }
    Ok(Left { status: "ok", room: name })
}
