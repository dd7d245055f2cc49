//! `notification:list` `{before?, limit?}`: acknowledged with `{status, notifications, unreadCount, more}`, newest
//! first; each is `{id,title,message,type,data?,read,createdAt}`. `before` is an id, exclusive, of a notification that
//! may be gone. Clients may leave out the argument.

use std::time::Instant;

use serde::Deserialize;

use super::{EventError, parse::Event};
use crate::{client::Client, cluster::notification::NotificationId};

const MOST: usize = 100;
const USUAL: usize = 50;

#[derive(Default, Deserialize)]
#[serde(expecting = "{before?, limit?}")]
struct Wanted {
    before: Option<String>,
    limit: Option<usize>,
}

/// The acknowledgement as JSON: the notifications are text already.
pub(super) async fn handle(client: &Client, event: &Event<'_>) -> Result<String, EventError> {
    let Wanted { before, limit } = event.data::<Option<Wanted>>()?.unwrap_or_default();
    let limit = limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(EventError::Validation(format!("limit must be 1 to {MOST}")));
    }
    let foreign = || EventError::Validation("before must be the id of a notification".into());
    let before = before.map(|text| NotificationId::parse(&text).ok_or_else(foreign)).transpose()?;
    let page = client.node.cluster.inbox.list(&client.identity.user_id, before, limit).await?;
    let (notifications, unread, more) = (page.notifications.join(","), page.unread, page.more);
    client.user.charge(notifications.len(), Instant::now());
    Ok(format!("{{\"status\":\"ok\",\"notifications\":[{notifications}],\"unreadCount\":{unread},\"more\":{more}}}"))
}
