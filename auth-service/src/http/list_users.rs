//! GET `/api/users`: all users, page by page, for administrators.

use std::sync::Arc;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
};
use jackfield_shared::error_body::ErrorBody;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{bearer::Administrator, error::ApiError, session::response};
use crate::{app::App, users::User};

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 100;

/// The page to return.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// From the page before; none for the first page.
    #[param(value_type = Option<Uuid>)]
    cursor: Option<String>,
    /// Most users on the page.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 50)]
    limit: Option<String>,
}

/// Users, ordered by id.
#[derive(Serialize, ToSchema)]
#[schema(as = UserPage)]
pub struct Users {
    users: Vec<User>,
    /// For the next page; null on the last one.
    cursor: Option<Uuid>,
}

/// Lists users. Only for administrators: users whose roles have ADMIN or SUPERUSER.
#[utoipa::path(
    get, path = "/api/users", tag = "users", security(("bearer" = [])), params(Page),
    responses(
        (status = 200, description = "A page of users, ordered by id", body = Users),
        (status = 400, description = "`validation_failed`", body = ErrorBody),
        (status = 401, description = "`invalid_token`, or `user_inactive`", body = ErrorBody),
        (status = 403, description = "`need_role`", body = ErrorBody),
        (status = 503, description = "`unavailable`, with `Retry-After`", body = ErrorBody),
    ),
)]
#[tracing::instrument(name = "list_users", skip_all)]
pub async fn list_users(
    State(app): State<Arc<App>>,
    _: Administrator,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Response, ApiError> {
    let unknown = |_| ApiError::Invalid("the query may have only cursor and limit, once each".into());
    let Query(Page { cursor, limit }) = page.map_err(unknown)?;
    let limit = limit.map_or(Ok(DEFAULT_LIMIT), |text| {
        let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
        limit.ok_or_else(|| ApiError::Invalid(format!("limit must be a whole number from 1 to {MAX_LIMIT}")))
    })?;
    let after = cursor.map_or(Ok(Uuid::nil()), |text| {
        text.parse().map_err(|_| ApiError::Invalid("cursor must be that of another page".into()))
    })?;
    let mut users = app.users.list(after, limit + 1).await?;
    let is_last = users.len() <= limit as usize;
    users.truncate(limit as usize);
    let cursor = users.last().map(|user| user.id).filter(|_| !is_last);
    Ok(response(StatusCode::OK, Users { users, cursor }))
}
