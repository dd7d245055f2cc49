//! `token:refresh` `{token}`: the session, or the subscription to a feed, lasts until the later expiry of the two
//! tokens. The new token must belong to the same user.

use std::sync::Arc;

use jackfield_shared::{claims::Identity, time::rfc3339_of_unix, verify::TokenError};
use serde::{Deserialize, Serialize};

use super::{EventError, parse::Event};
use crate::session::{Sender, Shared, SubscriberSender};

#[derive(Deserialize)]
#[serde(expecting = "{token}")]
struct Args {
    token: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Renewed {
    status: &'static str,
    expires_at: String,
}

pub(super) async fn handle(sender: &Sender<'_>, event: &Event<'_>) -> Result<Renewed, EventError> {
    let identity = verify(sender.shared, &sender.client.identity, event).await?;
    Ok(renewed(sender.connection.renew(identity.expires_at)))
}

/// Like [`handle`], for the subscription to one feed.
pub(super) async fn handle_in_feed(sender: &SubscriberSender<'_>, event: &Event<'_>) -> Result<Renewed, EventError> {
    let before =
        sender.subscriber.identity.as_ref().ok_or(EventError::Forbidden("This subscription has no token to renew"))?;
    let identity = verify(sender.shared, before, event).await?;
    Ok(renewed(sender.subscriber.renew(identity.expires_at)))
}

fn renewed(expires_at: u64) -> Renewed {
    Renewed { status: "ok", expires_at: rfc3339_of_unix(expires_at) }
}

/// Verifies the new token. Returns its identity.
async fn verify(shared: &Shared, before: &Identity, event: &Event<'_>) -> Result<Arc<Identity>, EventError> {
    let Args { token } = event.data()?;
    let identity = shared.verifier.verify(&token).await.map_err(|error| match error {
        TokenError::Invalid => EventError::Validation("token is not valid".into()),
        TokenError::Expired => EventError::Validation("token has expired".into()),
        TokenError::KeysUnavailable => EventError::Unavailable,
    })?;
    match identity.user_id == before.user_id {
        true => Ok(identity),
        false => Err(EventError::Forbidden("The token belongs to another user")),
    }
}
