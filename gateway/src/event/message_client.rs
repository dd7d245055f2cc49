//! `message-client` `{id?, message}`: to everybody in the namespace, the sender included, as `message-server`
//! `{fullName, message}`. Not stored: who is away misses it.

use serde::{Deserialize, Serialize};

use super::{DONE, Done, EventError, parse::Event};
use crate::client::Client;

/// What an empty message is sent as.
const EMPTY: &str = "no-message!!!";

#[derive(Deserialize)]
#[serde(expecting = "{id?, message}")]
struct Sent {
    #[serde(default)]
    message: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Heard<'a> {
    full_name: &'a str,
    message: &'a str,
}

pub(super) async fn handle(client: &Client, event: &Event<'_>) -> Result<Done, EventError> {
    let Sent { message } = event.data()?;
    let message = message.as_deref().filter(|text| !text.is_empty()).unwrap_or(EMPTY);
    client.broadcast("message-server", &Heard { full_name: &client.identity.name, message }).await?;
    Ok(DONE)
}
