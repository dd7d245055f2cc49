//! `message` `"text"` or `{content, room?}`: sent to everybody in the namespace, or in the room, including the sender,
//! as `message` `{sender, message, timestamp}`. A binary part may replace the text. Not stored: absent users miss it. A
//! user may send less to a whole namespace than to a room.

use std::time::Instant;

use jackfield_shared::time::now_rfc3339;
use serde::{Deserialize, Serialize};

use super::{
    EventError,
    content::{Content, Passed},
    parse::Event,
    room,
};
use crate::{client::Client, cluster::notice::event_json, engine::Frame};

#[derive(Deserialize)]
#[serde(expecting = "text or {content, room?}")]
struct Sent<'a> {
    #[serde(borrow)]
    content: Content<'a>,
    room: Option<String>,
}

#[derive(Serialize)]
struct Heard<'a> {
    /// The sender's public socket id.
    sender: &'a str,
    message: &'a Passed<'a>,
    timestamp: &'a str,
}

#[derive(Serialize)]
pub(super) struct Sending {
    status: &'static str,
    message: &'static str,
}

pub(super) async fn handle(client: &Client, event: &Event<'_>) -> Result<Sending, EventError> {
    let (content, room) = match event.data::<Content<'_>>() {
        Ok(content) => (content, None),
        Err(_) => {
            let Sent { content, room } = event.data()?;
            (content, room)
        }
    };
    let content = content.checked("content", event)?;
    let heard = Heard { sender: &client.id, message: &content, timestamp: &now_rfc3339() };
    match room {
        Some(name) => {
            let to = room::to_speak(client, &name)?;
            to.broadcast(&client.node, &frame(client, &heard)?, None).await?;
        }
        None => {
            client.user.broadcast(Instant::now())?;
            client.broadcast(&frame(client, &heard)?).await?;
        }
    }
    Ok(Sending { status: "ok", message: "Message sent successfully" })
}

fn frame(client: &Client, heard: &Heard<'_>) -> Result<Frame, EventError> {
    let content = event_json("message", heard).ok_or(EventError::Unavailable)?;
    Ok(Frame::event_with(&client.namespace.name, &content, heard.message.parts.clone()))
}
