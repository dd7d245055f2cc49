//! GET `/v1/hooks/{name}/dead` and POST `/v1/hooks/{name}/dead/retry`: facts that a hook refused for a whole day.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, State},
};
use chrono::DateTime;
use jackfield_cluster::facts::{Dead, FactId};
use jackfield_shared::{http::body::Body, time::rfc3339};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    caller::{Caller, Hooks},
    error::{ApiError, Errors, NotFound, PostErrors},
    facts::{FactDoc, OwnedFact},
    idempotency::IdempotencyKey,
    state::Api,
};
use crate::{fact::TERM, hook::Hook};

/// Most ids in one call.
const MAX_IDS: usize = 1_000;

/// The facts that a hook refused until the end of their term, by partition.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeadFacts {
    /// At most 1,000 of each of the 16 partitions: the last that were given up.
    dead: Vec<DeadFact>,
}

/// A fact that was given up.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeadFact {
    #[schema(value_type = FactDoc)]
    fact: OwnedFact,
    /// When it was given up.
    #[schema(format = DateTime)]
    at: String,
    /// The last failure: a status, or what was wrong.
    #[schema(example = "status_400")]
    reason: String,
}

/// The facts to send again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RetryRequest)]
pub(crate) struct Request {
    /// All if omitted.
    #[schema(max_items = 1_000, min_items = 1)]
    ids: Option<Vec<String>>,
}

/// The facts are being sent again.
#[derive(Serialize, ToSchema)]
pub(crate) struct Retried {
    /// How many: those that were still dead.
    retried: usize,
}

/// A hook's dead facts.
#[utoipa::path(
    get, path = "/v1/hooks/{name}/dead", tag = "facts", security(("apiKey" = [])),
    params(("name" = String, Path, description = "The hook")),
    responses(
        (status = 200, description = "Dead facts", body = DeadFacts),
        Errors,
        NotFound,
    ),
)]
pub(crate) async fn dead(
    _: Caller<Hooks>,
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
) -> Result<Json<DeadFacts>, ApiError> {
    let hook = hook(&api, &name)?;
    let dead = api.shared.cluster.facts.dead(&hook.name).await?.into_iter().map(|Dead { fact, at, reason }| DeadFact {
        fact: OwnedFact(fact),
        at: time(at),
        reason: reason.into(),
    });
    Ok(Json(DeadFacts { dead: dead.collect() }))
}

/// Sends dead facts again, for another day. They come after facts that were delivered meanwhile.
#[utoipa::path(
    post, path = "/v1/hooks/{name}/dead/retry", tag = "facts", request_body = Request, security(("apiKey" = [])),
    params(("name" = String, Path, description = "The hook"), IdempotencyKey),
    responses(
        (status = 200, description = "Being sent again", body = Retried),
        Errors,
        NotFound,
        PostErrors,
    ),
)]
pub(crate) async fn retry(
    _: Caller<Hooks>,
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Body(Request { ids }): Body<Request>,
) -> Result<Json<Retried>, ApiError> {
    let hook = hook(&api, &name)?;
    if ids.as_ref().is_some_and(|ids| !(1..=MAX_IDS).contains(&ids.len())) {
        return Err(ApiError::wrong(format!("ids must have 1 to {MAX_IDS} entries")));
    }
    let parse = |id: String| id.parse().map_err(|()| ApiError::wrong("ids must be ids of facts"));
    let ids: Option<Vec<FactId>> = ids.map(|ids| ids.into_iter().map(parse).collect()).transpose()?;
    let facts = &api.shared.cluster.facts;
    let retried = facts.retry(&hook.name, ids.as_deref(), Duration::from_millis(TERM)).await?;
    Ok(Json(Retried { retried }))
}

/// The hook of this name that gets facts.
fn hook<'a>(api: &'a Api, name: &str) -> Result<&'a Arc<Hook>, ApiError> {
    api.shared.hooks.with_facts().find(|hook| *hook.name == *name).ok_or(ApiError::NotFound("hook with facts"))
}

/// Unix milliseconds as a timestamp.
pub(super) fn time(millis: u64) -> String {
    rfc3339(i64::try_from(millis).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default())
}
