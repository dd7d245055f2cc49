//! GET `/v1/rooms/{room}/members`: the users in a room, on all nodes.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    api_query::ApiQuery,
    caller::{Caller, Read},
    error::{ApiError, Errors},
    room_path::room,
    state::Api,
};

/// Most members that are listed.
const MAX_LISTED: usize = 500;

/// The room's namespace.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MembersQuery {
    /// `/` if omitted.
    #[param(pattern = "^/(chat)?$")]
    namespace: Option<String>,
}

/// A room's members.
#[derive(Serialize, ToSchema)]
pub(crate) struct Members {
    room: String,
    /// Number of users, not of sockets.
    count: usize,
    /// At most 500 of the users.
    members: Vec<Member>,
}

/// One user.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Member {
    user_id: String,
    name: String,
}

/// The members of a room, on all nodes.
#[utoipa::path(
    get, path = "/v1/rooms/{room}/members", tag = "rooms", security(("apiKey" = [])),
    params(
        ("room" = String, Path, description = "The room", pattern = "^(?!user:)[A-Za-z0-9_.:-]{1,64}$"),
        MembersQuery,
    ),
    responses(
        (status = 200, description = "The room's members", body = Members),
        Errors,
    ),
)]
pub(crate) async fn members(
    _: Caller<Read>,
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    ApiQuery(MembersQuery { namespace }): ApiQuery<MembersQuery>,
) -> Result<Json<Members>, ApiError> {
    let members = api.shared.cluster.presence.members(&room(namespace.as_deref(), &name)?, MAX_LISTED).await?;
    let listed = members.profiles.iter().filter_map(|profile| serde_json::from_str(profile).ok()).collect();
    Ok(Json(Members { room: name, count: members.count, members: listed }))
}
