//! `message-client` `{id?, message}`: sent to everybody in the namespace, including the sender, as `message-server`
//! `{fullName, message}`. A binary part may replace the text. Not stored: absent users miss it.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{
    DONE, Done, EventError,
    content::{Content, Passed, Text},
    parse::Event,
};
use crate::{client::Client, cluster::notice::event_json, engine::Frame};

/// Replaces an empty message.
const EMPTY: &str = "no-message!!!";

#[derive(Deserialize)]
#[serde(expecting = "{id?, message}")]
struct Sent<'a> {
    #[serde(default, borrow)]
    message: Option<Content<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Heard<'a> {
    full_name: &'a str,
    message: &'a Passed<'a>,
}

pub(super) async fn handle(client: &Client, event: &Event<'_>) -> Result<Done, EventError> {
    let Sent { message } = event.data()?;
    let message = match message {
        None => Content::Text(Text::of(EMPTY)),
        Some(Content::Text(text)) if text.is_empty() => Content::Text(Text::of(EMPTY)),
        Some(message) => message,
    };
    let message = message.checked("message", event)?;
    let heard = Heard { full_name: &client.identity.name, message: &message };
    let content = event_json("message-server", &heard).ok_or(EventError::Unavailable)?;
    client.user.broadcast(Instant::now())?;
    client.broadcast(&Frame::event_with(&client.namespace.name, &content, message.parts.clone())).await?;
    Ok(DONE)
}
