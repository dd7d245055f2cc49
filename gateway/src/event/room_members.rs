//! `room-members` `{room}`: acknowledged with `{status, room, count, members:[{userId, name}]}`, at most 500 of them.
//! For every user who may join the room.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{EventError, parse::Event, room};
use crate::{client::Client, room::rules::Wish};

/// Most members that are listed.
const LISTED: usize = 500;

#[derive(Deserialize)]
#[serde(expecting = "{room}")]
struct Wanted {
    room: String,
}

#[derive(Serialize)]
pub(super) struct Members {
    status: &'static str,
    room: String,
    count: usize,
    members: Vec<Value>,
}

pub(super) async fn handle(client: &Client, event: &Event<'_>) -> Result<Members, EventError> {
    let Wanted { room } = event.data()?;
    let name = room::name(client, &room)?;
    room::may(client, &room, Wish::Join)?;
    let members = client.node.cluster.room_presence.members(&name, LISTED).await?;
    let listed = members.profiles.iter().filter_map(|profile| serde_json::from_str(profile).ok()).collect();
    Ok(Members { status: "ok", room, count: members.count, members: listed })
}
