//! `presence:subscribe` `{userIds}` on the main namespace: the socket gets these users' presence, however many users
//! are online. Replaces the list before; an empty one ends it. The acknowledgement lists the online ones.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{EventError, parse::Event};
use crate::{client::Client, hub::MAX_WATCHED, node::MAIN};

/// Most characters of a user's id.
const MAX_USER_ID: usize = 128;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "{userIds}")]
struct Wanted {
    user_ids: Vec<Arc<str>>,
}

#[derive(Serialize)]
pub(super) struct Present {
    status: &'static str,
    online: Vec<Arc<str>>,
}

pub(super) async fn handle(client: &Arc<Client>, event: &Event<'_>) -> Result<Present, EventError> {
    if &*client.namespace.name != MAIN {
        return Err(EventError::UnknownEvent);
    }
    let Wanted { mut user_ids } = event.data()?;
    user_ids.sort_unstable();
    user_ids.dedup();
    if user_ids.len() > MAX_WATCHED {
        return Err(EventError::Validation(format!("userIds may have {MAX_WATCHED} entries")));
    }
    if !user_ids.iter().all(|id| (1..=MAX_USER_ID).contains(&id.chars().count())) {
        return Err(EventError::Validation(format!("each of userIds must have 1 to {MAX_USER_ID} characters")));
    }
    // Watch first, then read: a change in between is received rather than missed.
    client.watch(user_ids.clone());
    let online = client.node.cluster.presence.online(&user_ids).await?;
    let online = user_ids.into_iter().zip(online).filter(|(_, online)| *online).map(|(user, _)| user).collect();
    Ok(Present { status: "ok", online })
}
