//! POST `/v1/users/{id}/disconnect`: ends the user's sessions everywhere. The clients get `session:ended` `{reason, at}` and
//! a DISCONNECT, and do not come back by themselves.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    body::Body,
    caller::{Caller, Disconnect},
    error::{ApiError, PostErrors},
    idempotency::IdempotencyKey,
    user_id,
};
use crate::{cluster::sessions::Order, node::Node};

const MAX_REASON: usize = 256;

/// Why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DisconnectRequest)]
pub struct Request {
    /// What the client is told.
    #[schema(max_length = 256)]
    reason: Option<String>,
}

/// How many sessions were told to end.
#[derive(Serialize, ToSchema)]
pub struct Disconnected {
    sessions: usize,
}

/// Ends a user's sessions.
#[utoipa::path(
    post, path = "/v1/users/{id}/disconnect", tag = "users", request_body = Request, security(("apiKey" = [])),
    params(
        ("id" = String, Path, description = "The user", min_length = 1, max_length = 128),
        IdempotencyKey,
    ),
    responses(
        (status = 202, description = "On its way", body = Disconnected),
        PostErrors,
    ),
)]
pub async fn disconnect(
    _: Caller<Disconnect>,
    State(node): State<Arc<Node>>,
    Path(id): Path<Arc<str>>,
    Body(Request { reason }): Body<Request>,
) -> Result<(StatusCode, Json<Disconnected>), ApiError> {
    user_id::check("id", &id)?;
    let reason = reason.unwrap_or_default();
    if reason.chars().count() > MAX_REASON {
        return Err(ApiError::wrong(format!("reason may have {MAX_REASON} characters")));
    }
    let ended = node.cluster.sessions.send(&[id], &Order::End(reason.into()), None).await?;
    Ok((StatusCode::ACCEPTED, Json(Disconnected { sessions: ended.iter().sum() })))
}
