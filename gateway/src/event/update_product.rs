//! `updateProduct` `data` in a feed: all its readers get `updates` `{message, data}`, the sender too. For those whose
//! roles the feed names.

use std::time::Instant;

use jackfield_shared::time::unix_now;

use super::{DONE, Done, EventError, parse::Event};
use crate::client::Reader;

pub(super) async fn handle(reader: &Reader, event: &Event<'_>) -> Result<Done, EventError> {
    if !reader.may_update(unix_now()) {
        return Err(EventError::Forbidden("Your roles do not allow it"));
    }
    if let Some(user) = &reader.user {
        user.broadcast(Instant::now())?;
    }
    reader.feed.relay(&reader.node, event.data()?).await?;
    Ok(DONE)
}
