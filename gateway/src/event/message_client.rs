//! `message-client` `{id?, message}`: sent to all sockets in the namespace, including the sender, as `message-server`
//! `{fullName, message}`. A binary part may replace the text. Not stored: absent users miss it.

use jackfield_engine::{Frame, event_content};
use jackfield_shared::time::now;
use serde::{Deserialize, Serialize};

use super::{
    EventError,
    content::{Content, Passed, Text},
    done::{DONE, Done},
    parse::Event,
};
use crate::session::Sender;

/// Replaces an empty message.
const EMPTY: &str = "no-message!!!";

#[derive(Deserialize)]
#[serde(expecting = "{id?, message}")]
struct Args<'a> {
    #[serde(default, borrow)]
    message: Option<Content<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    full_name: &'a str,
    message: &'a Passed<'a>,
}

pub(super) async fn handle(sender: &Sender<'_>, event: &Event<'_>) -> Result<Done, EventError> {
    let Args { message } = event.data()?;
    let message = match message {
        None => Content::Text(Text::of(EMPTY)),
        Some(Content::Text(text)) if text.is_empty() => Content::Text(Text::of(EMPTY)),
        Some(message) => message,
    };
    let message = message.checked("message", event)?;
    let payload = Payload { full_name: &sender.client.identity.name, message: &message };
    let content = event_content("message-server", &payload).ok_or(EventError::Unavailable)?;
    sender.client.user.broadcast(now())?;
    sender.broadcast(&Frame::event_with(&sender.client.namespace.name, &content, message.parts.as_ref())).await?;
    Ok(DONE)
}
