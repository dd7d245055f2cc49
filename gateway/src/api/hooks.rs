//! GET `/v1/hooks`: the configured hooks, and how the calls of this node went.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use jackfield_cluster::facts::HookStatus;
use jackfield_shared::time::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    caller::{Caller, Read},
    error::{ApiError, Errors},
    hook_dead::time,
    state::Api,
};
use crate::hook::Hook;

/// A configured hook. The numbers are those of the node that answers, since its start, but for `delivery`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Hook)]
pub(crate) struct HookDoc {
    name: String,
    /// Without its query.
    url: String,
    namespace: String,
    /// Patterns of the events that it handles.
    events: Vec<String>,
    /// Whether it decides who joins the namespace.
    connect: bool,
    /// Patterns of the facts that it gets.
    facts: Vec<String>,
    /// Milliseconds that a call may take.
    timeout_ms: u64,
    /// Calls that are open.
    open: usize,
    #[schema(schema_with = breaker_states)]
    breaker: &'static str,
    /// Calls so far, by outcome.
    #[schema(value_type = Object, additional_properties, example = json!({"ok": 7, "timeout": 1}))]
    calls: BTreeMap<&'static str, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<LastErrorDoc>,
    /// Only with `facts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<DeliveryDoc>,
}

/// The delivery of facts to a hook, in the whole cluster.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = HookDelivery)]
pub(crate) struct DeliveryDoc {
    /// Recorded facts of all kinds that the hook has not got to.
    waiting: u64,
    /// Facts that the hook refused, and those that wait behind them.
    parked: u64,
    /// Facts that it refused for a whole day.
    dead: u64,
    /// Facts that were no longer kept when they were due, and dead ones beyond 1,000 in a partition.
    dropped: u64,
    /// Until when nothing is sent, because the hook does not answer; at the latest in any partition.
    #[schema(format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_until: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The last call that failed.
#[derive(Serialize, ToSchema)]
#[schema(as = HookError)]
pub(crate) struct LastErrorDoc {
    #[schema(format = DateTime)]
    at: String,
    outcome: &'static str,
    /// At most 256 characters.
    reason: String,
}

/// In the order of the configuration.
#[derive(Serialize, ToSchema)]
pub(crate) struct HookList {
    /// The node that answers.
    node: String,
    hooks: Vec<HookDoc>,
}

fn breaker_states() -> utoipa::openapi::schema::Object {
    use utoipa::openapi::schema::{ObjectBuilder, Type};
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(["closed", "open"]))
        .description(Some("`open` while the backend does not answer: one call at a time is sent, as a probe."))
        .build()
}

/// The configured hooks.
#[utoipa::path(
    get, path = "/v1/hooks", tag = "cluster", security(("apiKey" = [])),
    responses((status = 200, description = "In the order of the configuration", body = HookList), Errors),
)]
pub(crate) async fn hooks(_: Caller<Read>, State(api): State<Arc<Api>>) -> Result<Json<HookList>, ApiError> {
    let mut hooks = Vec::new();
    for hook in api.shared.hooks.all() {
        let status = match hook.facts().is_empty() {
            true => None,
            false => Some(api.shared.cluster.facts.status(&hook.name).await?),
        };
        hooks.push(of(hook, status));
    }
    Ok(Json(HookList { node: api.shared.id.to_string(), hooks }))
}

fn delivery(HookStatus { waiting, parked, dead, dropped, paused_until, error }: HookStatus) -> DeliveryDoc {
    let paused_until = (paused_until > 0).then(|| time(paused_until));
    let error = (!error.is_empty()).then(|| error.into());
    DeliveryDoc { waiting, parked, dead, dropped, paused_until, error }
}

fn of(hook: &Hook, status: Option<HookStatus>) -> HookDoc {
    HookDoc {
        name: hook.name.to_string(),
        url: hook.url(),
        namespace: hook.namespace.to_string(),
        events: hook.events().texts(),
        connect: hook.is_for_connects(),
        facts: hook.facts().texts(),
        timeout_ms: u64::try_from(hook.timeout.as_millis()).unwrap_or(u64::MAX),
        open: hook.open(),
        breaker: if hook.is_breaker_open() { "open" } else { "closed" },
        calls: hook.counts().map(|(outcome, count)| (outcome.name(), count)).collect(),
        last_error: hook.last_error().map(|error| LastErrorDoc {
            at: rfc3339(error.at),
            outcome: error.outcome.name(),
            reason: error.reason,
        }),
        delivery: status.map(delivery),
    }
}
