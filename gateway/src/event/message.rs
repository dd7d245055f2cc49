//! `message` `"text"` or `{content, room?}`: to everybody in the namespace, or in the room, the sender included, as
//! `message` `{sender, message, timestamp}`. Not stored: who is away misses it.

use jackfield_shared::time::now_rfc3339;
use serde::{Deserialize, Serialize};

use super::{EventError, parse::Event};
use crate::client::Client;

/// Characters of a message.
const MAX_CONTENT: usize = 1_000;

#[derive(Deserialize)]
#[serde(untagged, expecting = "message must be text or {content, room?}")]
enum Sent {
    Text(String),
    Object { content: String, room: Option<String> },
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
    let (content, room) = match event.data()? {
        Sent::Text(content) => (content, None),
        Sent::Object { content, room } => (content, room),
    };
    if !(1..=MAX_CONTENT).contains(&content.chars().count()) {
        return Err(EventError::Validation(format!("content must have 1 to {MAX_CONTENT} characters")));
    }
    if let Some(room) = room {
        return Err(EventError::NotInRoom(room.chars().take(64).collect()));
    }
    let heard = Heard { sender: &client.id, message: &content, timestamp: &now_rfc3339() };
    client.broadcast("message", &heard).await?;
    Ok(Sending { status: "ok", message: "Message sent successfully" })
}
