//! POST `/v1/emit`: sends an event to users, a room or everyone. Absent users miss it, unless it is for
//! them alone and they are recovered.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use jackfield_cluster::{
    bus::Channel,
    wire::{BusMessage, UserEvent},
};
use jackfield_engine::{Frame, Parts, event_content};
use jackfield_shared::http::body::Body;
use jackfield_shared::time::now_rfc3339;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{
    ToSchema,
    openapi::schema::{Object, ObjectBuilder, Type},
};

use super::{
    binary,
    caller::{Caller, Emit},
    error::{ApiError, Errors, PostErrors},
    idempotency::IdempotencyKey,
    room_path::{namespace_of, room},
    state::Api,
    user_id,
};

const MAX_EVENT: usize = 128;
/// Names that Socket.IO's clients use for their own events, so that applications cannot receive such events.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

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
    to: To,
}

/// Exactly one of `user`, `users`, `room`, `everyone`; `namespace` goes with the last two.
#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "to must be {user}, {users}, {room, namespace?} or {everyone: true, namespace?}")]
enum To {
    User(ToUser),
    Users(ToUsers),
    Room(ToRoom),
    Everyone(ToEveryone),
}

/// All sockets of one user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ToUser {
    #[schema(value_type = String, min_length = 1, max_length = 128)]
    user: Arc<str>,
}

/// All sockets of these users.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ToUsers {
    #[schema(schema_with = user_id::many)]
    users: Vec<Arc<str>>,
}

/// The members of a room.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ToRoom {
    #[schema(pattern = "^(?!user:)[A-Za-z0-9_.:-]{1,64}$")]
    room: String,
    /// `/` if omitted.
    #[schema(pattern = "^/(chat)?$")]
    namespace: Option<String>,
}

/// All sockets in a namespace.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ToEveryone {
    /// Always `true`.
    #[schema(schema_with = only_true)]
    everyone: bool,
    /// `/` if omitted.
    #[schema(pattern = "^/(chat)?$")]
    namespace: Option<String>,
}

fn only_true() -> Object {
    ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([true])).build()
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
    Body(Request { event, mut data, to }): Body<Request>,
) -> Result<(StatusCode, Json<Emitted>), ApiError> {
    if !(1..=MAX_EVENT).contains(&event.chars().count()) || RESERVED.contains(&event.as_str()) {
        return Err(ApiError::wrong(format!(
            "event must have 1 to {MAX_EVENT} characters and be none of {}",
            RESERVED.join(", ")
        )));
    }
    data.insert("timestamp".to_owned(), now_rfc3339().into());
    // A name and JSON data always serialize.
    let mut data = Value::Object(data);
    let parts = binary::take(&mut data, api.shared.settings.limits.attachments as usize)?;
    let event = event_content(&event, &data).ok_or(ApiError::Unavailable)?;
    let delivered = match to {
        To::User(ToUser { user }) => {
            user_id::check("to.user", &user)?;
            Some(to_users(&api, &[user], event, parts.as_ref()).await?)
        }
        To::Users(ToUsers { users }) => {
            let users = user_id::check_many("to.users", users)?;
            Some(to_users(&api, &users, event, parts.as_ref()).await?)
        }
        To::Room(ToRoom { room: name, namespace }) => {
            let room = room(namespace.as_deref(), &name)?;
            let frame = Frame::event_with(&room.namespace, &event, parts.as_ref());
            publish(&api, &Channel::Room(room), &frame).await?;
            None
        }
        To::Everyone(ToEveryone { everyone: true, namespace }) => {
            let namespace = namespace_of(namespace.as_deref())?;
            let frame = Frame::event_with(namespace, &event, parts.as_ref());
            publish(&api, &Channel::Namespace(namespace.into()), &frame).await?;
            None
        }
        To::Everyone(ToEveryone { everyone: false, .. }) => {
            return Err(ApiError::wrong("to.everyone must be true"));
        }
    };
    Ok((StatusCode::ACCEPTED, Json(Emitted { delivered })))
}

async fn to_users(api: &Api, users: &[Arc<str>], event: String, parts: Option<&Parts>) -> Result<usize, ApiError> {
    let event = UserEvent::Event { except: None, content: Parts::encode(event.into(), parts) };
    let counts = api.shared.cluster.user_log.send(users, &event).await?;
    Ok(counts.iter().sum())
}

async fn publish(api: &Api, channel: &Channel, frame: &Frame) -> Result<(), ApiError> {
    Ok(api.shared.cluster.bus.publish(channel, BusMessage::Frame(frame.to_bus()).encode()).await?)
}
