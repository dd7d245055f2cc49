//! POST `/v1/emit`: sends an event to users, a room or everyone. Absent users miss it, unless it is for
//! them alone and they are recovered.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
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
use crate::emit::{self, Emission, ToRequest};

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
}

/// Number of sessions that the event was sent to; omitted for rooms and everyone.
#[derive(Serialize, ToSchema)]
pub(crate) struct Emitted {
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered: Option<usize>,
}

/// Emits an event.
#[utoipa::path(
    post, path = "/v1/emit", tag = "emit", request_body = Request, security(("apiKey" = [])),
    params(IdempotencyKey),
    responses(
        (status = 202, description = "The event was sent to the nodes", body = Emitted),
        Errors,
        PostErrors,
    ),
)]
pub(crate) async fn emit(
    _: Caller<Emit>,
    State(api): State<Arc<Api>>,
    RepeatedOperation(operation): RepeatedOperation,
    Body(Request { event, mut data, to }): Body<Request>,
) -> Result<(StatusCode, Json<Emitted>), ApiError> {
    data.insert("timestamp".to_owned(), now_rfc3339().into());
    let attachments = api.shared.settings.limits.attachments as usize;
    let (content, parts) = emit::content(&event, vec![data.into()], attachments).map_err(ApiError::wrong)?;
    let (to, except) = to.check().map_err(ApiError::wrong)?;
    let emission = Emission { to, except, content, parts, once: operation.as_deref() };
    let delivered = emit::emit(&api.shared, emission).await?;
    Ok((StatusCode::ACCEPTED, Json(Emitted { delivered })))
}
