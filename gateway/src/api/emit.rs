//! POST `/v1/emit`: sends an event to users, a room or everyone. Absent users miss it, unless it is for
//! them alone and they are recovered.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jackfield_shared::http::body::Body;
use jackfield_shared::time::now_rfc3339;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    caller::{Caller, Emit},
    error::{ApiError, Errors, PostErrors},
    idempotency::{IdempotencyKey, RepeatedOperation},
    state::Api,
};
use crate::{
    emit::{self, Emission, ToRequest},
    session::MAIN,
};

/// An event and its receivers.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EmitRequest)]
pub(crate) struct Request {
    /// 1 to 128 characters, and none of Socket.IO's own (`connect`, `disconnect`, …).
    #[schema(
        example = "data:updated",
        min_length = 1,
        max_length = 128,
        pattern = "^(?!(connect|connect_error|disconnect|disconnecting|newListener|removeListener)$)"
    )]
    event: String,
    /// The node adds `timestamp`, the time of sending. `{"$binary": "<base64>"}` anywhere in it is a binary part.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"type": "order", "data": {"id": 7}}))]
    data: Map<String, Value>,
    to: ToRequest,
    /// Waits for the clients' acknowledgements, and answers them with 200. Clients that are away are not asked.
    #[serde(default)]
    ack: bool,
    /// With `ack`: how long to wait, in milliseconds; 5,000 if omitted.
    #[schema(minimum = 1, maximum = 30_000)]
    timeout: Option<u32>,
}

/// Number of sessions that the event was sent to; omitted for rooms and everyone.
#[derive(Serialize, ToSchema)]
pub(crate) struct Emitted {
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered: Option<usize>,
}

/// The clients' acknowledgements.
#[derive(Serialize, ToSchema)]
pub(crate) struct Acknowledged {
    /// In the order of arrival.
    acks: Vec<Acknowledgement>,
    /// Sockets that did not answer in time, or answered more than 64 KiB, or more than 1 MiB together with the others.
    missing: usize,
}

/// One client's acknowledgement.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Acknowledgement {
    socket_id: String,
    #[schema(value_type = String)]
    user: Arc<str>,
    /// Its arguments. `{"$binary": "<base64>"}` anywhere in them is a binary part.
    #[schema(value_type = Vec<Object>)]
    args: Value,
}

/// The milliseconds that acknowledgements are waited for.
const TIMEOUTS: std::ops::RangeInclusive<u32> = 1..=30_000;
/// If the caller sets none.
const TIMEOUT: u32 = 5_000;

/// Emits an event.
///
/// With `ack`, to at most 1,000 sockets: more are refused as `too_many_receivers`, before anyone gets the event.
#[utoipa::path(
    post, path = "/v1/emit", tag = "emit", request_body = Request, security(("apiKey" = [])),
    params(IdempotencyKey),
    responses(
        (status = 200, description = "With `ack`: the clients' acknowledgements", body = Acknowledged),
        (status = 202, description = "The event was sent to the nodes", body = Emitted),
        Errors,
        PostErrors,
    ),
)]
pub(crate) async fn emit(
    _: Caller<Emit>,
    State(api): State<Arc<Api>>,
    RepeatedOperation(operation): RepeatedOperation,
    Body(Request { event, mut data, to, ack, timeout }): Body<Request>,
) -> Result<Response, ApiError> {
    data.insert("timestamp".to_owned(), now_rfc3339().into());
    let attachments = api.shared.settings.limits.attachments as usize;
    let (content, parts) = emit::content(&event, vec![data.into()], attachments).map_err(ApiError::wrong)?;
    let (to, except) = to.check(MAIN).map_err(ApiError::wrong)?;
    let timeout = timeout.unwrap_or(TIMEOUT);
    if !TIMEOUTS.contains(&timeout) {
        return Err(ApiError::wrong("timeout must be 1 to 30000 milliseconds"));
    }
    let emission = Emission { to, except, content, parts, once: operation.as_deref() };
    if ack {
        let answers = emit::ask(&api.shared, emission, Duration::from_millis(timeout.into())).await?;
        return Ok(Json(Acknowledged::from(answers)).into_response());
    }
    let delivered = emit::emit(&api.shared, emission).await?;
    Ok((StatusCode::ACCEPTED, Json(Emitted { delivered })).into_response())
}

impl From<emit::Acknowledged> for Acknowledged {
    fn from(emit::Acknowledged { acks, missing }: emit::Acknowledged) -> Self {
        let ack = |emit::Ack { socket, user, args }| Acknowledgement { socket_id: socket, user, args };
        Self { acks: acks.into_iter().map(ack).collect(), missing }
    }
}
