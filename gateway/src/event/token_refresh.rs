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
    let identity = verify(sender.shared, &sender.client.identity.user_id, event).await?;
    let expires_at = sender.connection.renew(&identity);
    // The new token may have other roles.
    sender.connection.leave_forbidden_rooms().await;
    Ok(renewed(expires_at))
}

/// Like [`handle`], for the subscription to one feed.
pub(super) async fn handle_in_feed(sender: &SubscriberSender<'_>, event: &Event<'_>) -> Result<Renewed, EventError> {
    let user = &sender.subscriber.user_id;
    let user = user.as_ref().ok_or(EventError::Forbidden("This subscription has no token to renew"))?;
    let identity = verify(sender.shared, user, event).await?;
    Ok(renewed(sender.subscriber.renew(&identity)))
}

fn renewed(expires_at: u64) -> Renewed {
    Renewed { status: "ok", expires_at: rfc3339_of_unix(expires_at) }
}

/// Verifies the new token, which must be one of this user. Returns its identity.
async fn verify(shared: &Shared, user: &str, event: &Event<'_>) -> Result<Arc<Identity>, EventError> {
    let Args { token } = event.data()?;
    let identity = shared.verifier.verify(&token).await.map_err(|error| match error {
        TokenError::Invalid => EventError::Validation("token is not valid".into()),
        TokenError::Expired => EventError::Validation("token has expired".into()),
        TokenError::KeysUnavailable => EventError::Unavailable,
    })?;
    if *identity.user_id != *user {
        return Err(EventError::Forbidden("The token belongs to another user"));
    }
    shared.revocations.accept(identity).map_err(|refused| match refused.is_inactive {
        true => EventError::Forbidden("The user is inactive"),
        false => EventError::Validation("token has been revoked".into()),
    })
}
