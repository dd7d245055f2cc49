//! `private-message` `{to, content}`: sent to every socket of the user `to`, and to the sender's other sockets, as
//! `private-message` `{id, from:{id,name}, to, content, timestamp}`, in the order of each user's log. Only the nodes
//! that hold these users' sessions receive it; absent users miss it unless they are recovered; `delivered` counts the sessions of `to` that it
//! was sent to.

use std::sync::Arc;

use jackfield_cluster::wire::{Target, UserEvent};
use jackfield_engine::event_content;
use jackfield_shared::{
    ids::new_id,
    time::{now, now_rfc3339},
};
use serde::{Deserialize, Serialize};

use super::{EventError, content::Text, parse::Event};
use crate::{
    session::Sender,
    user_id::{MAX_USER_ID, is_user_id},
};

#[derive(Deserialize)]
#[serde(expecting = "{to, content}")]
struct Args<'a> {
    to: Arc<str>,
    #[serde(borrow)]
    content: Text<'a>,
}

#[derive(Serialize)]
struct Payload<'a> {
    id: &'a str,
    from: From<'a>,
    to: &'a str,
    content: &'a Text<'a>,
    timestamp: &'a str,
}

#[derive(Serialize)]
struct From<'a> {
    id: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Delivered {
    status: &'static str,
    message_id: String,
    delivered: usize,
}

pub(super) async fn handle(sender: &Sender<'_>, event: &Event<'_>) -> Result<Delivered, EventError> {
    let Args { to, content } = event.data()?;
    if !is_user_id(&to) {
        return Err(EventError::Validation(format!("to must have 1 to {MAX_USER_ID} characters")));
    }
    content.check("content")?;
    sender.client.user.private(&to, now())?;
    let (own, shared) = (&sender.client.identity.user_id, sender.shared);
    let id = new_id();
    let from = From { id: own, name: &sender.client.identity.name };
    let payload = Payload { id: &id, from, to: &to, content: &content, timestamp: &now_rfc3339() };
    let payload = event_content("private-message", &payload).ok_or(EventError::Unavailable)?;
    // Send once to users who write to themselves.
    let users = if to == *own { vec![to] } else { vec![to, Arc::clone(own)] };
    let message = UserEvent::Event { except: vec![Target::Socket(sender.client.id)], content: payload.into() };
    let delivered = shared.cluster.user_log.send(&users, &message).await?;
    // The sender's own session counts only if it has another socket.
    let is_alone = users[0] == *own && sender.connection.sockets().len() == 1;
    let delivered = delivered.first().map_or(0, |count| count.saturating_sub(usize::from(is_alone)));
    Ok(Delivered { status: "ok", message_id: id, delivered })
}
