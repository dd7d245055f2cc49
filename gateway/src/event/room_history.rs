//! `room-history` `{room, before?, limit?}`: acknowledged with `{status, messages}`, oldest first, for members. `before` is
//! exclusive; without it, the newest.

use std::time::Instant;

use serde::Deserialize;

use super::{EventError, parse::Event, room};
use crate::{client::Client, room::history};

#[derive(Deserialize)]
#[serde(expecting = "{room, before?, limit?}")]
struct Wanted {
    room: String,
    before: Option<String>,
    limit: Option<usize>,
}

/// The acknowledgement as JSON: the messages are text already.
pub(super) async fn handle(client: &Client, event: &Event<'_>) -> Result<String, EventError> {
    let Wanted { room, before, limit } = event.data()?;
    let name = room::joined(client, &room)?.name;
    let messages = history(&client.node.cluster.log, &name, before.as_deref(), limit).await?;
    client.user.charge(messages.len(), Instant::now());
    Ok(format!("{{\"status\":\"ok\",\"messages\":{messages}}}"))
}
