//! POST `/v1/users/{id}/disconnect`: ends the user's sockets on all nodes: the sessions, and the subscriptions to feeds
//! that sent a token of the user. The clients receive `session:ended` `{reason, at}` and a DISCONNECT, after which
//! stock clients do not reconnect by themselves.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use jackfield_cluster::{
    bus::Channel,
    wire::{BusMessage, EndSubscriptions},
};
use jackfield_shared::http::body::Body;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    caller::{Caller, Disconnect},
    error::{ApiError, Errors, PostErrors},
    idempotency::IdempotencyKey,
    state::Api,
    user_id,
};

pub(crate) const MAX_REASON: usize = 256;

/// Why the user is disconnected.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DisconnectRequest)]
pub(crate) struct Request {
    /// The reason that the clients receive.
    #[schema(max_length = 256)]
    reason: Option<String>,
}

/// Number of sessions that are being ended. Subscriptions to feeds end, too, but are not counted.
#[derive(Serialize, ToSchema)]
pub(crate) struct Disconnected {
    sessions: usize,
}

/// Ends a user's sockets: the sessions, and the subscriptions to feeds that sent a token of the user.
#[utoipa::path(
    post, path = "/v1/users/{id}/disconnect", tag = "users", request_body = Request, security(("apiKey" = [])),
    params(
        ("id" = String, Path, description = "The user", min_length = 1, max_length = 128),
        IdempotencyKey,
    ),
    responses(
        (status = 202, description = "The nodes are ending the user's sockets", body = Disconnected),
        Errors,
        PostErrors,
    ),
)]
pub(crate) async fn disconnect(
    _: Caller<Disconnect>,
    State(api): State<Arc<Api>>,
    Path(id): Path<Arc<str>>,
    Body(Request { reason }): Body<Request>,
) -> Result<(StatusCode, Json<Disconnected>), ApiError> {
    user_id::check("id", &id)?;
    let reason = reason.unwrap_or_default();
    if reason.chars().count() > MAX_REASON {
        return Err(ApiError::wrong(format!("at most {MAX_REASON} characters in reason")));
    }
    let reason: Arc<str> = reason.into();
    let subscriptions =
        BusMessage::EndSubscriptions(EndSubscriptions { user: Arc::clone(&id), reason: Arc::clone(&reason) });
    let (sessions, ()) = tokio::try_join!(
        api.shared.cluster.sessions.end(&id, &reason),
        api.shared.cluster.bus.publish(&Channel::Presence, subscriptions.encode()),
    )?;
    Ok((StatusCode::ACCEPTED, Json(Disconnected { sessions })))
}
