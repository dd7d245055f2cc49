//! `room-message` `{room, message}`: sent to the room's other sockets as `room-message` `{sender, message, room,
//! timestamp}`. Not stored: absent users miss it. A binary part may replace the text.

use jackfield_shared::time::now_rfc3339;
use serde::{Deserialize, Serialize};

use super::{
    DONE, Done, EventError,
    content::{Content, Passed},
    parse::Event,
    room,
};
use crate::{client::Client, cluster::notice::event_json, engine::Frame};

#[derive(Deserialize)]
#[serde(expecting = "{room, message}")]
struct Sent<'a> {
    room: String,
    #[serde(borrow)]
    message: Content<'a>,
}

#[derive(Serialize)]
struct Heard<'a> {
    /// The sender's public socket id.
    sender: &'a str,
    message: &'a Passed<'a>,
    room: &'a str,
    timestamp: &'a str,
}

pub(super) async fn handle(client: &Client, event: &Event<'_>) -> Result<Done, EventError> {
    let Sent { room, message } = event.data()?;
    let to = room::to_speak(client, &room)?;
    let message = message.checked("message", event)?;
    let heard = Heard { sender: &client.id, message: &message, room: &room, timestamp: &now_rfc3339() };
    let content = event_json("room-message", &heard).ok_or(EventError::Unavailable)?;
    let frame = Frame::event_with(&client.namespace.name, &content, message.parts.clone());
    to.broadcast(&client.node, &frame, Some(&client.id)).await?;
    Ok(DONE)
}
