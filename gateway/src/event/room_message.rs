//! `room-message` `{room, message}`: to the room's other sockets as `room-message` `{sender, message, room, timestamp}`. Not
//! stored: who is away misses it.

use jackfield_shared::time::now_rfc3339;
use serde::{Deserialize, Serialize};

use super::{DONE, Done, EventError, parse::Event, room};
use crate::{client::Client, engine::Frame};

#[derive(Deserialize)]
#[serde(expecting = "{room, message}")]
struct Sent {
    room: String,
    message: String,
}

#[derive(Serialize)]
struct Heard<'a> {
    /// The sender's public socket id.
    sender: &'a str,
    message: &'a str,
    room: &'a str,
    timestamp: &'a str,
}

pub(super) async fn handle(client: &Client, event: &Event<'_>) -> Result<Done, EventError> {
    let Sent { room, message } = event.data()?;
    let to = room::to_speak(client, &room)?;
    room::check_content("message", &message)?;
    let heard = Heard { sender: &client.id, message: &message, room: &room, timestamp: &now_rfc3339() };
    let frame = Frame::event(&client.namespace.name, "room-message", &heard).ok_or(EventError::Unavailable)?;
    to.broadcast(&client.node, frame.as_bytes(), Some(&client.id)).await?;
    Ok(DONE)
}
