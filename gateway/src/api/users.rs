//! GET `/v1/users/{id}` and POST `/v1/users/status`: whether users are online.
//!
//! A user within the grace after the last socket closed still counts as online, as in presence events.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use chrono::DateTime;
use jackfield_cluster::sessions::Live;
use jackfield_shared::http::body::Body;
use jackfield_shared::time::rfc3339;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    caller::{Caller, Read},
    error::{ApiError, Errors, PostErrors},
    idempotency::IdempotencyKey,
    state::Api,
    user_id,
};

/// Whether a user is online.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserStatus {
    #[schema(value_type = String)]
    user_id: Arc<str>,
    /// Agrees with `user:online` and `user:offline`.
    online: bool,
    /// Connections, on all nodes.
    sockets: usize,
    /// When the oldest of these connections began.
    #[schema(format = DateTime, example = "2026-01-01T00:00:00.000Z")]
    since: Option<String>,
}

/// The users to look up.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = StatusRequest)]
pub(crate) struct Request {
    #[schema(schema_with = user_id::many)]
    user_ids: Vec<Arc<str>>,
}

/// In the order of the request, each user once.
#[derive(Serialize, ToSchema)]
pub(crate) struct Statuses {
    users: Vec<UserStatus>,
}

/// Whether a user is online.
#[utoipa::path(
    get, path = "/v1/users/{id}", tag = "users", security(("apiKey" = [])),
    params((
        // Other endpoints have those two paths.
        "id" = String, Path, description = "The user; for `status` and `notifications`, use POST `/v1/users/status`",
        min_length = 1, max_length = 128, pattern = "^(?!(status|notifications)$)",
    )),
    responses(
        (status = 200, description = "Online or not", body = UserStatus),
        Errors,
    ),
)]
pub(crate) async fn status_of_one(
    _: Caller<Read>,
    State(api): State<Arc<Api>>,
    Path(id): Path<Arc<str>>,
) -> Result<Json<UserStatus>, ApiError> {
    user_id::check("id", &id)?;
    let status = statuses(&api, vec![id]).await?.pop();
    status.map(Json).ok_or(ApiError::Unavailable)
}

/// Whether many users are online.
#[utoipa::path(
    post, path = "/v1/users/status", tag = "users", request_body = Request, security(("apiKey" = [])),
    params(IdempotencyKey),
    responses(
        (status = 200, description = "Online or not, for each user", body = Statuses),
        Errors,
        PostErrors,
    ),
)]
pub(crate) async fn status_of_many(
    _: Caller<Read>,
    State(api): State<Arc<Api>>,
    Body(Request { user_ids }): Body<Request>,
) -> Result<Json<Statuses>, ApiError> {
    let users = user_id::check_many("userIds", user_ids)?;
    Ok(Json(Statuses { users: statuses(&api, users).await? }))
}

async fn statuses(api: &Api, users: Vec<Arc<str>>) -> Result<Vec<UserStatus>, ApiError> {
    let (live, online) =
        tokio::try_join!(api.shared.cluster.sessions.of(&users), api.shared.cluster.presence.online(&users))?;
    let each = users.into_iter().zip(live).zip(online);
    Ok(each.map(|((user_id, live), online)| status(user_id, &live, online)).collect())
}

fn status(user_id: Arc<str>, live: &[Live], online: bool) -> UserStatus {
    let began = live.first().and_then(|oldest| i64::try_from(oldest.generation).ok());
    let since = began.and_then(DateTime::from_timestamp_micros).map(rfc3339);
    UserStatus { user_id, online, sockets: live.len(), since }
}
