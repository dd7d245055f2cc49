//! `room-history` `{room, before?, limit?}`, for members only: acknowledged with `{status, messages}`, oldest first.
//! `before` is exclusive; without it, the newest messages.

use jackfield_shared::time::now;
use serde::Deserialize;

use super::{EventError, parse::Event, room};
use crate::{room::history, session::Sender};

#[derive(Deserialize)]
#[serde(expecting = "{room, before?, limit?}")]
struct Args {
    room: String,
    before: Option<String>,
    limit: Option<usize>,
}

/// The acknowledgement as JSON text, because the messages are stored as such.
pub(super) async fn handle(sender: &Sender<'_>, event: &Event<'_>) -> Result<String, EventError> {
    let Args { room, before, limit } = event.data()?;
    let name = room::joined(sender, &room)?.name().clone();
    let messages = history(&sender.shared.cluster.log, &name, before.as_deref(), limit).await?;
    sender.client.user.charge(messages.len(), now());
    Ok(format!("{{\"status\":\"ok\",\"messages\":{messages}}}"))
}
