//! `updateProduct` `data` in a feed: all its readers get `updates` `{message, data}`, including the sender. For the
//! roles that the feed names.

use std::time::Instant;

use jackfield_shared::time::unix_now;
use serde_json::value::RawValue;

use super::{DONE, Done, EventError, parse::Event};
use crate::{
    client::Reader,
    json_depth::{MAX_DEPTH, is_deeper},
};

pub(super) async fn handle(reader: &Reader, event: &Event<'_>) -> Result<Done, EventError> {
    if !reader.may_update(unix_now()) {
        return Err(EventError::Forbidden("Your roles do not allow it"));
    }
    let data: &RawValue = event.data()?;
    if is_deeper(data.get().as_bytes(), MAX_DEPTH) {
        return Err(EventError::Validation(format!("data: at most {MAX_DEPTH} levels of objects and arrays")));
    }
    if let Some(user) = &reader.user {
        user.broadcast(Instant::now())?;
    }
    reader.feed.relay(&reader.node, data).await?;
    Ok(DONE)
}
