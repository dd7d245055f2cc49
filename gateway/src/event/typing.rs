//! `typing` `{room, isTyping?}`: sent to the room's other sockets as `user-typing` `{userId, name, room, isTyping}`, at
//! most once a second per socket and room; events above that are dropped.

use jackfield_engine::Frame;
use jackfield_shared::time::now;
use serde::{Deserialize, Serialize};

use super::{
    EventError,
    done::{DONE, Done},
    parse::Event,
    room,
};
use crate::session::Sender;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "{room, isTyping?}")]
struct Args {
    room: String,
    #[serde(default = "yes")]
    is_typing: bool,
}

fn yes() -> bool {
    true
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    user_id: &'a str,
    name: &'a str,
    room: &'a str,
    is_typing: bool,
}

pub(super) async fn handle(sender: &Sender<'_>, event: &Event<'_>) -> Result<Done, EventError> {
    let Args { room, is_typing } = event.data()?;
    let to = room::to_send(sender, &room)?;
    if sender.client.may_type(&room, now()) {
        let (user_id, name) = (&*sender.client.identity.user_id, &*sender.client.identity.name);
        let payload = Payload { user_id, name, room: &room, is_typing };
        let frame =
            Frame::event(&sender.client.namespace.name, "user-typing", &payload).ok_or(EventError::Unavailable)?;
        sender.shared.rooms.broadcast(to.name(), &frame, Some(sender.client.id)).await?;
    }
    Ok(DONE)
}
