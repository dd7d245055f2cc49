//! `private-message` `{to, content}`: to every socket of the user `to` and to the sender's others, as `private-message`
//! `{id, from:{id,name}, to, content, timestamp}`. Not stored. It goes to the nodes that hold those sessions, and to no
//! others; `delivered` counts the sessions of `to` that it was sent to.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use jackfield_shared::{ids::new_id, time::now_rfc3339};
use serde::{Deserialize, Serialize};

use super::{EventError, parse::Event, room};
use crate::{
    client::Client,
    cluster::{
        bus::Channel,
        ids::{NodeId, SessionId},
        notice::Notice,
    },
    engine::Frame,
};

/// Characters of a user's id.
const MAX_USER_ID: usize = 128;

#[derive(Deserialize)]
struct Sent {
    to: Arc<str>,
    content: String,
}

#[derive(Serialize)]
struct Heard<'a> {
    id: &'a str,
    from: From<'a>,
    to: &'a str,
    content: &'a str,
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
    room::check_content("content", &content)?;
    let (own, node) = (&client.identity.user_id, &client.node);
    let (theirs, ours) = tokio::try_join!(node.cluster.sessions.of(&to), node.cluster.sessions.of(own))?;
    let mut by_node: BTreeMap<NodeId, Vec<SessionId>> = BTreeMap::new();
    let ours = if to == *own { Vec::new() } else { ours };
    let delivered = theirs.iter().filter(|(session, _)| *session != client.session).count();
    for (session, holder) in theirs.into_iter().chain(ours).filter(|(session, _)| *session != client.session) {
        by_node.entry(holder.node()).or_default().push(session);
    }
    let id = new_id();
    let from = From { id: own, name: &client.identity.name };
    let heard = Heard { id: &id, from, to: &to, content: &content, timestamp: &now_rfc3339() };
    let namespace = &client.namespace.name;
    let frame = Frame::event(namespace, "private-message", &heard).ok_or(EventError::Unavailable)?;
    let frame = Bytes::copy_from_slice(frame.as_bytes());
    for (to_node, sessions) in by_node {
        let notice = Notice::Direct { namespace: Arc::clone(namespace), sessions, frame: frame.clone() };
        node.cluster.bus.publish(&Channel::Node(to_node), notice.encode()).await?;
    }
    Ok(Delivered { status: "ok", message_id: id, delivered })
}
