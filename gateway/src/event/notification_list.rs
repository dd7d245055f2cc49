//! `notification:list` `{before?, limit?}`: acknowledged with `{status, notifications, unreadCount, more}`, newest
//! first; each is `{id,title,message,type,data?,read,createdAt}`. `before` is an exclusive id, whose notification may have
//! been deleted since. Clients may omit the argument.

use jackfield_shared::time::now;
use serde::Deserialize;

use super::{EventError, parse::Event};
use crate::{
    notification::{page_fields, page_of},
    session::Sender,
};

#[derive(Default, Deserialize)]
#[serde(expecting = "{before?, limit?}")]
struct Args {
    before: Option<String>,
    limit: Option<usize>,
}

/// The acknowledgement as JSON text, because the notifications are stored as such.
pub(super) async fn handle(sender: &Sender<'_>, event: &Event<'_>) -> Result<String, EventError> {
    let Args { before, limit } = event.data::<Option<Args>>()?.unwrap_or_default();
    let (before, limit) = page_of(before, limit).map_err(EventError::Validation)?;
    let page = sender.shared.cluster.inbox.list(&sender.client.identity.user_id, before, limit).await?;
    let fields = page_fields(&page);
    sender.client.user.charge(fields.len(), now());
    Ok(format!("{{\"status\":\"ok\",{fields}}}"))
}
