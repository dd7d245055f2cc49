//! POST `/v1/users/{id}/revoke`: the user's tokens, those of one login, or one token are refused from now on, and end
//! the sockets that rest on them, on all nodes. For issuers that are not the auth service, whose own endpoints do the
//! same.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use jackfield_cluster::revocations::{About, Entry, RecordError};
use jackfield_shared::{
    http::body::Body,
    time::{rfc3339_of_unix, unix_now},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    caller::{Caller, Disconnect},
    error::{ApiError, Errors, PostErrors},
    idempotency::IdempotencyKey,
    state::Api,
    user_id,
};

/// Characters of a reason, and of the id of a login or token.
const MAX_TEXT: usize = 256;
/// The reason if the call gives none.
const REVOKED: &str = "revoked";

/// The tokens: without `sid` and `jti`, all tokens of the user that were issued until now.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RevokeRequest)]
pub(crate) struct Request {
    /// The login whose tokens are revoked: the tokens' claim `sid`, or the one that the issuer's setting names.
    #[schema(min_length = 1, max_length = 256)]
    sid: Option<String>,
    /// The token that is revoked: its claim `jti`.
    #[schema(min_length = 1, max_length = 256)]
    jti: Option<String>,
    /// The reason that the clients receive.
    #[schema(max_length = 256)]
    reason: Option<String>,
}

/// The revocation.
#[derive(Serialize, ToSchema)]
pub(crate) struct Revoked {
    /// Until then it is kept: tokens that are valid for longer would be accepted again.
    #[schema(format = DateTime, example = "2026-01-01T00:00:00.000Z")]
    until: String,
}

/// Revokes a user's tokens.
#[utoipa::path(
    post, path = "/v1/users/{id}/revoke", tag = "users", request_body = Request, security(("apiKey" = [])),
    params(
        ("id" = String, Path, description = "The user", min_length = 1, max_length = 128),
        IdempotencyKey,
    ),
    responses(
        (status = 202, description = "The nodes refuse the tokens, and end their sockets", body = Revoked),
        Errors,
        PostErrors,
    ),
)]
pub(crate) async fn revoke(
    _: Caller<Disconnect>,
    State(api): State<Arc<Api>>,
    Path(id): Path<Arc<str>>,
    Body(Request { sid, jti, reason }): Body<Request>,
) -> Result<(StatusCode, Json<Revoked>), ApiError> {
    user_id::check("id", &id)?;
    for (name, least, text) in [("sid", 1, &sid), ("jti", 1, &jti), ("reason", 0, &reason)] {
        if text.as_ref().is_some_and(|text| !(least..=MAX_TEXT).contains(&text.chars().count())) {
            return Err(ApiError::wrong(format!("{least} to {MAX_TEXT} characters in {name}")));
        }
    }
    let now = unix_now();
    let until = now + api.shared.settings.revocation.window.as_secs();
    let reason: Arc<str> = reason.filter(|reason| !reason.is_empty()).unwrap_or_else(|| REVOKED.to_owned()).into();
    let login = sid.map(|login| About::Login { id: login.into() });
    let token = jti.map(|token| About::Token { id: token.into() });
    let mut abouts: Vec<About> = login.into_iter().chain(token).collect();
    if abouts.is_empty() {
        abouts.push(About::Tokens { issued_until: now });
    }
    let entry = |about| Entry { user: Arc::clone(&id), about, reason: Arc::clone(&reason), until };
    let entries: Vec<Entry> = abouts.into_iter().map(entry).collect();
    let recorded = api.shared.cluster.revocations.record(&entries).await;
    recorded.map_err(|error| match error {
        RecordError::Unavailable(unavailable) => unavailable.into(),
        RecordError::Full => {
            tracing::warn!("the list of revocations is full: set `revocation.window` (REVOCATION_WINDOW) to less");
            ApiError::Unavailable
        }
    })?;
    Ok((StatusCode::ACCEPTED, Json(Revoked { until: rfc3339_of_unix(until) })))
}
