//! `updateProduct` `data` in a feed, for the roles that the feed's rule names: all subscribers get `updates`
//! `{message, data}`, including the sender.

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
        return Err(EventError::Forbidden("Your roles do not allow this"));
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
