//! `private-message` `{to, content}`: sent to every socket of the user `to`, and to the sender's other sockets, as
//! `private-message` `{id, from:{id,name}, to, content, timestamp}`. Not stored. Only the nodes that hold these users'
//! sessions receive it; `delivered` counts the sessions of `to` that it was sent to.

use std::sync::Arc;

use jackfield_cluster::sessions::Directive;
use jackfield_engine::{Frame, event_content};
use jackfield_shared::{
    ids::new_id,
    time::{now, now_rfc3339},
};
use serde::{Deserialize, Serialize};

use super::{EventError, content::Text, parse::Event};
use crate::{
    session::{Addressee as _, Sender},
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
    // The bus skips the sender's own session, because the sending socket must not get the message; the session's other
    // sockets are on this connection and get it below.
    let directive = Directive::event(&payload);
    let delivered = shared.cluster.sessions.send(&users, &directive, Some(&sender.client.session.into())).await?;
    let mut siblings = sender.connection.sockets();
    siblings.retain(|socket| socket.id != sender.client.id);
    for sibling in &siblings {
        sibling.send(&Frame::event_content(&sibling.namespace.name, &payload));
    }
    let here = usize::from(users[0] == *own && !siblings.is_empty());
    Ok(Delivered { status: "ok", message_id: id, delivered: delivered.first().copied().unwrap_or(0) + here })
}
