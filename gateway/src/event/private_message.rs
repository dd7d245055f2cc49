//! `private-message` `{to, content}`: sent to every socket of the user `to` and to the sender's others, as
//! `private-message` `{id, from:{id,name}, to, content, timestamp}`. Not stored. Only the nodes that hold those
//! sessions get it; `delivered` counts the sessions of `to` that it was sent to.

use std::{sync::Arc, time::Instant};

use jackfield_shared::{ids::new_id, time::now_rfc3339};
use serde::{Deserialize, Serialize};

use super::{EventError, content::Text, parse::Event};
use crate::{
    client::Client,
    cluster::{notice::event_json, sessions::Directive},
    engine::Frame,
};

/// Most characters of a user's id.
const MAX_USER_ID: usize = 128;

#[derive(Deserialize)]
#[serde(expecting = "{to, content}")]
struct Sent<'a> {
    to: Arc<str>,
    #[serde(borrow)]
    content: Text<'a>,
}

#[derive(Serialize)]
struct Heard<'a> {
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

pub(super) async fn handle(client: &Client, event: &Event<'_>) -> Result<Delivered, EventError> {
    let Sent { to, content } = event.data()?;
    if !(1..=MAX_USER_ID).contains(&to.chars().count()) {
        return Err(EventError::Validation(format!("to must have 1 to {MAX_USER_ID} characters")));
    }
    content.check("content")?;
    client.user.private(&to, Instant::now())?;
    let (own, node) = (&client.identity.user_id, &client.node);
    let id = new_id();
    let from = From { id: own, name: &client.identity.name };
    let heard = Heard { id: &id, from, to: &to, content: &content, timestamp: &now_rfc3339() };
    let heard = event_json("private-message", &heard).ok_or(EventError::Unavailable)?;
    // A user who writes to themselves counts once.
    let users = if to == *own { vec![to] } else { vec![to, Arc::clone(own)] };
    // This leaves out the sender's session, because of its sending socket; its other sockets are on this connection.
    let directive = Directive::event(&heard);
    let delivered = node.cluster.sessions.send(&users, &directive, Some(&client.session)).await?;
    let siblings = client.siblings();
    for sibling in &siblings {
        sibling.send(&Frame::event_content(&sibling.namespace.name, &heard));
    }
    let here = usize::from(users[0] == *own && !siblings.is_empty());
    Ok(Delivered { status: "ok", message_id: id, delivered: delivered.first().copied().unwrap_or(0) + here })
}
