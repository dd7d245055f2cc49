//! `message` `"text"` or `{content, room?}`: sent to all sockets in the namespace, or in the room, including the
//! sender, as `message` `{sender, message, timestamp}`. A binary part may replace the text. Not stored: absent users
//! miss it. Messages to a whole namespace have a lower rate limit (`limits.broadcastRate`).

use jackfield_cluster::ids::SocketId;
use jackfield_engine::{Frame, event_content};
use jackfield_shared::time::{now, now_rfc3339};
use serde::{Deserialize, Serialize};

use super::{
    EventError,
    content::{Content, Passed},
    parse::Event,
    room,
};
use crate::session::Sender;

#[derive(Deserialize)]
#[serde(expecting = "text or {content, room?}")]
struct Args<'a> {
    #[serde(borrow)]
    content: Content<'a>,
    room: Option<String>,
}

#[derive(Serialize)]
struct Payload<'a> {
    /// The sender's public socket id.
    sender: SocketId,
    message: &'a Passed<'a>,
    timestamp: &'a str,
}

#[derive(Serialize)]
pub(super) struct Sending {
    status: &'static str,
    message: &'static str,
}

pub(super) async fn handle(sender: &Sender<'_>, event: &Event<'_>) -> Result<Sending, EventError> {
    let (content, room) = match event.data::<Content<'_>>() {
        Ok(content) => (content, None),
        Err(_) => {
            let Args { content, room } = event.data()?;
            (content, room)
        }
    };
    let content = content.checked("content", event)?;
    let payload = Payload { sender: sender.client.id, message: &content, timestamp: &now_rfc3339() };
    match room {
        Some(name) => {
            let to = room::to_send(sender, &name)?;
            sender.shared.rooms.broadcast(to.name(), &frame(sender, &payload)?, None).await?;
        }
        None => {
            sender.client.user.broadcast(now())?;
            sender.broadcast(&frame(sender, &payload)?).await?;
        }
    }
    Ok(Sending { status: "ok", message: "Message sent successfully" })
}

fn frame(sender: &Sender<'_>, payload: &Payload<'_>) -> Result<Frame, EventError> {
    let content = event_content("message", payload).ok_or(EventError::Unavailable)?;
    Ok(Frame::event_with(&sender.client.namespace.name, &content, payload.message.parts.as_ref()))
}
