//! `leave-room` `"room"` or `{room}`: the others get `user-left` `{userId, name, room}`, at once.

use serde::{Deserialize, Serialize};

use super::{EventError, parse::Event, room};
use crate::{
    client::Client,
    cluster::{ids::IndexEntry, room_presence::Ending},
};

#[derive(Deserialize)]
#[serde(untagged, expecting = "leave-room takes a room's name or {room}")]
enum Wanted {
    Name(String),
    Object { room: String },
}

#[derive(Serialize)]
pub(super) struct Left {
    status: &'static str,
    room: String,
}

pub(super) async fn handle(client: &Client, event: &Event<'_>) -> Result<Left, EventError> {
    let (Wanted::Name(name) | Wanted::Object { room: name }) = event.data()?;
    room::joined(client, &name)?;
    let node = &client.node;
    if let Some(stay) = client.left(&name) {
        node.rooms.leave(&stay.room, &client.id).await;
        if let Some(incarnation) = node.incarnation() {
            // What is left of it, all of it where nobody answered, is cleared away in the background.
            let _ = node.cluster.room_presence.leave(std::slice::from_ref(&stay), &incarnation, Ending::Left).await;
            node.departures.push(IndexEntry::Room(stay), incarnation);
        }
    }
    Ok(Left { status: "ok", room: name })
}
