//! `typing` `{room, isTyping?}`: sent to the room's other sockets as `user-typing` `{userId, name, room, isTyping}`, at
//! most once a second per socket and room; further ones are dropped.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{DONE, Done, EventError, parse::Event, room};
use crate::{client::Client, engine::Frame};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "{room, isTyping?}")]
struct Sent {
    room: String,
    #[serde(default = "yes")]
    is_typing: bool,
}

fn yes() -> bool {
    true
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Heard<'a> {
    user_id: &'a str,
    name: &'a str,
    room: &'a str,
    is_typing: bool,
}

pub(super) async fn handle(client: &Client, event: &Event<'_>) -> Result<Done, EventError> {
    let Sent { room, is_typing } = event.data()?;
    let to = room::to_speak(client, &room)?;
    if client.may_type(&room, Instant::now()) {
        let (user_id, name) = (&*client.identity.user_id, &*client.identity.name);
        let heard = Heard { user_id, name, room: &room, is_typing };
        let frame = Frame::event(&client.namespace.name, "user-typing", &heard).ok_or(EventError::Unavailable)?;
        to.broadcast(&client.node, &frame, Some(&client.id)).await?;
    }
    Ok(DONE)
}
