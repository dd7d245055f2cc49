//! `send-message` `{room, content, clientId?}`: stored, numbered, and sent to all members as `new-message`
//! `{id, room, content, sender:{id,name}, timestamp}`, the sender included. Acknowledged once it is stored; sent again with
//! the same `clientId` it is stored once.

use serde::{Deserialize, Serialize};

use super::{EventError, content::Text, parse::Event, room};
use crate::{
    client::Client,
    room::{Sender, message_body},
};

/// Characters of a `clientId`.
const MAX_CLIENT_ID: usize = 64;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "{room, content, clientId?}")]
struct Sent<'a> {
    room: String,
    #[serde(borrow)]
    content: Text<'a>,
    client_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stored {
    status: &'static str,
    message_id: String,
}

pub(super) async fn handle(client: &Client, event: &Event<'_>) -> Result<Stored, EventError> {
    let Sent { room, content, client_id } = event.data()?;
    let to = room::to_speak(client, &room)?;
    content.check("content")?;
    if client_id.as_ref().is_some_and(|id| !(1..=MAX_CLIENT_ID).contains(&id.chars().count())) {
        return Err(EventError::Validation(format!("clientId must have 1 to {MAX_CLIENT_ID} characters")));
    }
    let sender = Sender { id: &client.identity.user_id, name: &client.identity.name };
    let body = message_body(&room, &content, sender);
    // A user's own: another's `clientId` may be the same.
    let key = client_id.map(|id| format!("{} {id}", client.identity.user_id));
    let appended = to.append(&client.node, &body, key.as_deref()).await?;
    Ok(Stored { status: "ok", message_id: appended.position.to_string() })
}
