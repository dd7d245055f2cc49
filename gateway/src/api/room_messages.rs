//! POST and GET `/v1/rooms/{room}/messages`: sends to a room as the system, and reads its stored messages.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
};
use jackfield_shared::http::body::Body;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    api_query::ApiQuery,
    caller::{Caller, Publish, Read},
    durable::Durable,
    error::{ApiError, Errors, NotFound, PostErrors},
    idempotency::{IdempotencyKey, OperationId},
    room_path::room,
    state::Api,
};
use crate::room::{MAX_CONTENT, SYSTEM, history as history_of, message_body};

/// A message.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MessageRequest)]
pub(crate) struct Request {
    #[schema(min_length = 1, max_length = 1_000)]
    content: String,
    /// `/` if omitted.
    #[schema(pattern = "^/(chat)?$")]
    namespace: Option<String>,
}

/// The message was stored.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sent {
    message_id: String,
    durable: Durable,
}

/// Selects messages.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistoryQuery {
    /// `/` if omitted.
    #[param(pattern = "^/(chat)?$")]
    namespace: Option<String>,
    /// Lists messages older than the one with this id; the newest if omitted.
    #[param(pattern = "^[0-9A-Fa-f]{14}-[0-9]{12}$")]
    before: Option<String>,
    /// 1 to 100; 50 if omitted.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
}

/// Oldest first.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only for the OpenAPI document: the messages are JSON text already")]
pub(crate) struct History {
    messages: Vec<StoredMessage>,
}

/// A stored message.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only for the OpenAPI document: the messages are JSON text already")]
pub(crate) struct StoredMessage {
    id: String,
    room: String,
    content: String,
    sender: StoredSender,
    timestamp: String,
}

/// The sender of a message.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only for the OpenAPI document: the messages are JSON text already")]
pub(crate) struct StoredSender {
    id: String,
    name: String,
}

/// Sends a message to a room as the system. The message is stored like any other.
#[utoipa::path(
    post, path = "/v1/rooms/{room}/messages", tag = "rooms", request_body = Request, security(("apiKey" = [])),
    params(
        ("room" = String, Path, description = "The room", pattern = "^(?!user:)[A-Za-z0-9_.:-]{1,64}$"),
        IdempotencyKey,
    ),
    responses(
        (status = 201, description = "Stored, and being sent", body = Sent),
        Errors,
        PostErrors,
    ),
)]
pub(crate) async fn send(
    _: Caller<Publish>,
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    OperationId(operation): OperationId,
    Body(Request { content, namespace }): Body<Request>,
) -> Result<(StatusCode, Json<Sent>), ApiError> {
    let to = room(namespace.as_deref(), &name)?;
    if !(1..=MAX_CONTENT).contains(&content.chars().count()) {
        return Err(ApiError::wrong(format!("content must have 1 to {MAX_CONTENT} characters")));
    }
    let body = message_body(&to.name, &content, SYSTEM);
    // Differs from every user's key, because those begin with a number.
    let (key, durable) = (format!("api {operation}"), api.shared.rules.durability(&to.name));
    let appended = api.shared.cluster.log.append(&to, &body, Some(&key), None, durable).await?;
    let sent = Sent { message_id: appended.position.to_string(), durable: appended.durable.into() };
    Ok((StatusCode::CREATED, Json(sent)))
}

/// A room's stored messages.
#[utoipa::path(
    get, path = "/v1/rooms/{room}/messages", tag = "rooms", security(("apiKey" = [])),
    params(
        ("room" = String, Path, description = "The room", pattern = "^(?!user:)[A-Za-z0-9_.:-]{1,64}$"),
        HistoryQuery,
    ),
    responses(
        (status = 200, description = "Oldest first", body = History),
        Errors,
        NotFound,
    ),
)]
pub(crate) async fn history(
    _: Caller<Read>,
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    ApiQuery(HistoryQuery { namespace, before, limit }): ApiQuery<HistoryQuery>,
) -> Result<impl IntoResponse, ApiError> {
    let room = room(namespace.as_deref(), &name)?;
    let messages = history_of(&api.shared.cluster.log, &room, before.as_deref(), limit).await?;
    let json = format!("{{\"messages\":{messages}}}");
    Ok(([(CONTENT_TYPE, "application/json")], json))
}
