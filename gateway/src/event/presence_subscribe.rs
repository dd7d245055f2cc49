//! `presence:subscribe` `{userIds}` in the main namespace: the socket gets these users' presence, however many users
//! are online. Replaces the previous list; an empty list unsubscribes. The acknowledgement lists the users who are
//! online.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{EventError, parse::Event};
use crate::{
    hub::MAX_WATCHED,
    session::{MAIN, Sender},
    user_id::{MAX_USER_ID, is_user_id},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "{userIds}")]
struct Args {
    user_ids: Vec<Arc<str>>,
}

#[derive(Serialize)]
pub(super) struct Present {
    status: &'static str,
    online: Vec<Arc<str>>,
}

pub(super) async fn handle(sender: &Sender<'_>, event: &Event<'_>) -> Result<Present, EventError> {
    if &*sender.client.namespace.name != MAIN {
        return Err(EventError::UnknownEvent);
    }
    let Args { mut user_ids } = event.data()?;
    user_ids.sort_unstable();
    user_ids.dedup();
    if user_ids.len() > MAX_WATCHED {
        return Err(EventError::Validation(format!("at most {MAX_WATCHED} entries in userIds")));
    }
    if !user_ids.iter().all(|id| is_user_id(id)) {
        return Err(EventError::Validation(format!("each entry of userIds must have 1 to {MAX_USER_ID} characters")));
    }
    // Watch first, then read, so that the socket receives a change in between.
    let watched = user_ids.clone();
    sender.client.while_here(|| sender.shared.watchers.watch(sender.client, watched));
    let cluster = &sender.shared.cluster;
    let note = async {
        match sender.client.record() {
            Some(record) => cluster.recovery.watch(&sender.client.session_ref(), record, MAIN, &user_ids).await,
            None => Ok(()),
        }
    };
    let (online, noted) = tokio::join!(cluster.presence.online(&user_ids), note);
    let online = online?;
    noted?;
    let online = user_ids.into_iter().zip(online).filter(|(_, online)| *online).map(|(user, _)| user).collect();
    Ok(Present { status: "ok", online })
}
