//! `message` `"text"` or `{content, room?}`: to everybody in the namespace, or in the room, the sender included, as
//! `message` `{sender, message, timestamp}`. Not stored: who is away misses it.

use jackfield_shared::time::now_rfc3339;
use serde::{Deserialize, Serialize};

use super::{
    EventError,
    parse::{Event, TextOr},
    room,
};
use crate::{client::Client, engine::Frame};

#[derive(Deserialize)]
#[serde(expecting = "text or {content, room?}")]
struct Sent {
    content: String,
    room: Option<String>,
}

#[derive(Serialize)]
struct Heard<'a> {
    /// The sender's public socket id.
    sender: &'a str,
    message: &'a str,
    timestamp: &'a str,
}

#[derive(Serialize)]
pub(super) struct Sending {
    status: &'static str,
    message: &'static str,
}

pub(super) async fn handle(client: &Client, event: &Event<'_>) -> Result<Sending, EventError> {
    let (content, room) = match event.text_or()? {
        TextOr::Text(content) => (content, None),
        TextOr::Other(Sent { content, room }) => (content, room),
    };
    room::check_content("content", &content)?;
    let heard = Heard { sender: &client.id, message: &content, timestamp: &now_rfc3339() };
    match room {
        Some(name) => {
            let to = room::to_speak(client, &name)?;
            let frame = Frame::event(&client.namespace.name, "message", &heard).ok_or(EventError::Unavailable)?;
            to.broadcast(&client.node, frame.as_bytes(), None).await?;
        }
        None => client.broadcast("message", &heard).await?,
    }
    Ok(Sending { status: "ok", message: "Message sent successfully" })
}
