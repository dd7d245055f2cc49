//! `token:refresh` `{token}`: the session goes on until the new token's end. The token must be of the same user.

use jackfield_shared::{time::rfc3339_of_unix, verify::TokenError};
use serde::{Deserialize, Serialize};

use super::{EventError, parse::Event};
use crate::client::Client;

#[derive(Deserialize)]
struct Renewal {
    token: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Renewed {
    status: &'static str,
    expires_at: String,
}

pub(super) async fn handle(client: &Client, event: &Event<'_>) -> Result<Renewed, EventError> {
    let Renewal { token } = event.data()?;
    let identity = client.node.verifier.verify(&token).await.map_err(|error| match error {
        TokenError::Invalid => EventError::Validation("token is not valid".into()),
        TokenError::Expired => EventError::Validation("token has expired".into()),
        TokenError::KeysUnavailable => EventError::Unavailable,
    })?;
    if identity.user_id != client.identity.user_id {
        return Err(EventError::Forbidden("The token is another user's"));
    }
    let expires_at = client.renew(identity.expires_at);
    Ok(Renewed { status: "ok", expires_at: rfc3339_of_unix(expires_at) })
}
