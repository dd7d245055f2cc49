//! `updateProduct` `data` in a feed: all its readers get `updates` `{message, data}`, including the sender. For the
//! roles that the feed names.

use jackfield_shared::{
    json_depth::{MAX_DEPTH, is_deeper},
    time::{now, unix_now},
};
use serde_json::value::RawValue;

use super::{
    EventError,
    done::{DONE, Done},
    parse::Event,
};
use crate::session::SubscriberSender;

pub(super) async fn handle(sender: &SubscriberSender<'_>, event: &Event<'_>) -> Result<Done, EventError> {
    if !sender.subscriber.may_update(unix_now()) {
        return Err(EventError::Forbidden("Your roles do not allow it"));
    }
    let data: &RawValue = event.data()?;
    if is_deeper(data.get().as_bytes(), MAX_DEPTH) {
        return Err(EventError::Validation(format!("data: at most {MAX_DEPTH} levels of objects and arrays")));
    }
    if let Some(user) = &sender.subscriber.user {
        user.broadcast(now())?;
    }
    sender.shared.feeds.relay(&sender.subscriber.feed, data).await?;
    Ok(DONE)
}
