//! `room-members` `{room}`, for every user who may join the room: acknowledged with `{status, room, count,
//! members:[{userId, name}]}`, which lists at most 500 members.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{EventError, parse::Event, room};
use crate::{room::rules::Action, session::Sender};

/// Most members that are listed.
pub(crate) const MAX_LISTED: usize = 500;

#[derive(Deserialize)]
#[serde(expecting = "{room}")]
struct Args {
    room: String,
}

#[derive(Serialize)]
pub(super) struct Members {
    status: &'static str,
    room: String,
    count: usize,
    members: Vec<Value>,
}

pub(super) async fn handle(sender: &Sender<'_>, event: &Event<'_>) -> Result<Members, EventError> {
    let Args { room } = event.data()?;
    let name = room::name(sender, &room)?;
    room::authorize(sender, &room, Action::Join)?;
    let members = sender.shared.cluster.presence.members(&name, MAX_LISTED).await?;
    let listed = members.profiles.iter().filter_map(|profile| serde_json::from_str(profile).ok()).collect();
    Ok(Members { status: "ok", room, count: members.count, members: listed })
}
