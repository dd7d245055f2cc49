//! `room-message` `{room, message}`: sent to the room's other sockets as `room-message` `{sender, message, room,
//! timestamp}`. Not stored: absent users miss it. A binary part may replace the text.

use jackfield_cluster::ids::SocketId;
use jackfield_engine::{Frame, event_content};
use jackfield_shared::time::now_rfc3339;
use serde::{Deserialize, Serialize};

use super::{
    EventError,
    content::{Content, Passed},
    done::{DONE, Done},
    parse::Event,
    room,
};
use crate::session::Sender;

#[derive(Deserialize)]
#[serde(expecting = "{room, message}")]
struct Args<'a> {
    room: String,
    #[serde(borrow)]
    message: Content<'a>,
}

#[derive(Serialize)]
struct Payload<'a> {
    /// The sender's public socket id.
    sender: SocketId,
    message: &'a Passed<'a>,
    room: &'a str,
    timestamp: &'a str,
}

pub(super) async fn handle(sender: &Sender<'_>, event: &Event<'_>) -> Result<Done, EventError> {
    let Args { room, message } = event.data()?;
    let to = room::to_send(sender, &room)?;
    let message = message.checked("message", event)?;
    let payload = Payload { sender: sender.client.id, message: &message, room: &room, timestamp: &now_rfc3339() };
    let content = event_content("room-message", &payload).ok_or(EventError::Unavailable)?;
    let frame = Frame::event_with(&sender.client.namespace.name, &content, message.parts.as_ref());
    sender.shared.rooms.broadcast(to.name(), &frame, Some(sender.client.id)).await?;
    Ok(DONE)
}
