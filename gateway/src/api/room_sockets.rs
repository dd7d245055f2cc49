//! POST `/v1/rooms/{room}/join` and `/leave`: users' sockets, or single ones, join or leave a room, on every node. The
//! rules about roles do not apply: the backend decides.

use std::{collections::HashSet, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use jackfield_cluster::{
    room_name::RoomName,
    wire::{Command, Selector, Target},
};
use jackfield_shared::http::body::Body;
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::schema::{Array, ArrayBuilder, ObjectBuilder, Type},
};

use super::{
    caller::{Caller, Rooms},
    error::{ApiError, Errors, PostErrors},
    idempotency::IdempotencyKey,
    room_path::room,
    state::Api,
    user_id,
};
use crate::emit;

/// Most users or sockets in one call.
const MAX: usize = 1_000;

/// Exactly one of `users`, `sockets`.
#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "body must be {users, namespace?} or {sockets, namespace?}")]
#[schema(as = RoomSocketsRequest)]
pub(crate) enum Request {
    Users(OfUsers),
    Sockets(Sockets),
}

/// All sockets of these users in the namespace.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RoomUsers)]
pub(crate) struct OfUsers {
    #[schema(schema_with = users)]
    users: Vec<Arc<str>>,
    /// `/` if omitted.
    #[schema(pattern = "^/(chat)?$")]
    namespace: Option<String>,
}

/// These sockets in the namespace.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RoomSockets)]
pub(crate) struct Sockets {
    /// Their public ids: `socket.id` on the clients.
    #[schema(schema_with = sockets)]
    sockets: Vec<String>,
    /// `/` if omitted.
    #[schema(pattern = "^/(chat)?$")]
    namespace: Option<String>,
}

fn users() -> Array {
    let id = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(128));
    ArrayBuilder::new().items(id).min_items(Some(1)).max_items(Some(MAX)).build()
}

fn sockets() -> Array {
    let id = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[A-Za-z0-9_-]{20}$"));
    ArrayBuilder::new()
        .items(id)
        .min_items(Some(1))
        .max_items(Some(MAX))
        .description(Some("Their public ids: `socket.id` on the clients."))
        .build()
}

/// The request was sent to the nodes.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ordered {}

/// Lets sockets into a room: each gets `joined` `{room}` and every message from then on, in the order of its own events.
/// Sockets that would be in more than `limits.rooms` rooms stay out.
#[utoipa::path(
    post, path = "/v1/rooms/{room}/join", tag = "rooms", request_body = Request, security(("apiKey" = [])),
    params(
        ("room" = String, Path, description = "The room", pattern = "^(?!user:)[A-Za-z0-9_.:-]{1,64}$"),
        IdempotencyKey,
    ),
    responses(
        (status = 202, description = "The nodes let the sockets into the room", body = Ordered),
        Errors,
        PostErrors,
    ),
)]
pub(crate) async fn join(
    _: Caller<Rooms>,
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Body(request): Body<Request>,
) -> Result<(StatusCode, Json<Ordered>), ApiError> {
    order(&api, &name, request, |room| Command { join: vec![room], ..Command::default() }).await
}

/// Makes sockets leave a room: each gets `left` `{room, code: "by_backend"}`, in the order of its own events.
#[utoipa::path(
    post, path = "/v1/rooms/{room}/leave", tag = "rooms", request_body = Request, security(("apiKey" = [])),
    params(
        ("room" = String, Path, description = "The room", pattern = "^(?!user:)[A-Za-z0-9_.:-]{1,64}$"),
        IdempotencyKey,
    ),
    responses(
        (status = 202, description = "The nodes make the sockets leave the room", body = Ordered),
        Errors,
        PostErrors,
    ),
)]
pub(crate) async fn leave(
    _: Caller<Rooms>,
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Body(request): Body<Request>,
) -> Result<(StatusCode, Json<Ordered>), ApiError> {
    order(&api, &name, request, |room| Command { leave: vec![room], ..Command::default() }).await
}

async fn order(
    api: &Api,
    name: &str,
    request: Request,
    command: impl FnOnce(Arc<str>) -> Command,
) -> Result<(StatusCode, Json<Ordered>), ApiError> {
    let (any, namespace) = match request {
        Request::Users(OfUsers { users, namespace }) => {
            check_count("users", users.len())?;
            let users = user_id::check_many("users", users)?;
            (users.into_iter().map(Target::User).collect(), namespace)
        }
        Request::Sockets(Sockets { sockets, namespace }) => {
            check_count("sockets", sockets.len())?;
            let parsed = sockets.iter().enumerate().map(|(index, id)| {
                emit::socket_id(&format!("sockets[{index}]"), id).map(Target::Socket).map_err(ApiError::wrong)
            });
            // Without duplicates.
            (parsed.collect::<Result<HashSet<_>, _>>()?.into_iter().collect(), namespace)
        }
    };
    let RoomName { namespace, name } = room(namespace.as_deref(), name)?;
    let selector = Selector { any, except: Vec::new() };
    emit::order(&api.shared, &namespace, selector, command(name)).await?;
    Ok((StatusCode::ACCEPTED, Json(Ordered {})))
}

fn check_count(field: &str, count: usize) -> Result<(), ApiError> {
    match (1..=MAX).contains(&count) {
        true => Ok(()),
        false => Err(ApiError::wrong(format!("{field} must have 1 to {MAX} entries"))),
    }
}
