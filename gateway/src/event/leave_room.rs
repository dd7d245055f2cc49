//! `leave-room` `"room"` or `{room}`: the others get `user-left` `{userId, name, room}` at once, without a grace.

use serde::{Deserialize, Serialize};

use super::{
    EventError,
    parse::{Event, TextOr},
    room,
};
use crate::session::{Sender, leave_room};

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
    leave_room(sender.shared, sender.client, &name).await;
    Ok(Left { status: "ok", room: name })
}
