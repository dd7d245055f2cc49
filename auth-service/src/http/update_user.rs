//! PATCH `/api/users/{id}`: an administrator changes a user's name, roles, or whether the user is active.
//!
//! Guarantees: gateways are told before the change is committed, so live sockets follow within a second, or nothing
//! changes; changes of one user happen one after the other; the caller is an administrator when the change happens, and
//! stays one, so that there is always an administrator.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use garde::Validate;
use jackfield_shared::{claims::Role, error_body::ErrorBody};
use serde::Deserialize;
use utoipa::{
    ToSchema,
    openapi::schema::{Array, ArrayBuilder, ObjectBuilder, SchemaType, Type},
};
use uuid::Uuid;

use super::{
    bearer::{Administrator, Bearer, is_administrator},
    error::ApiError,
    session::response,
    valid::Valid,
};
use crate::{
    app::App,
    logins::{Change, now},
    revoker::{Reason, count_ended},
    rules::check_full_name,
    users::User,
};

/// The fields to change; those that are missing or null stay as they are.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = UserChange)]
pub struct Request {
    /// Whether the user may sign in and connect. False ends all logins of the user.
    #[garde(skip)]
    is_active: Option<bool>,
    /// Any of ADMIN, SUPERUSER, USER, at least one, each once.
    #[schema(schema_with = roles_schema)]
    #[garde(inner(custom(check_roles)))]
    roles: Option<Vec<Role>>,
    /// As on register.
    #[schema(max_length = 100, example = "Ann Lee")]
    #[garde(inner(custom(check_full_name)))]
    full_name: Option<String>,
}

/// Deserialization and [`check_roles`], for the OpenAPI document.
fn roles_schema() -> Array {
    let names = [Role::Admin, Role::Superuser, Role::User].map(Role::as_str);
    let role = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names));
    ArrayBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Array, Type::Null]))
        .items(role)
        .min_items(Some(1))
        .max_items(Some(names.len()))
        .unique_items(true)
        .build()
}

fn check_roles(roles: &[Role], _: &()) -> garde::Result {
    let repeats = |(at, role): (usize, &Role)| roles[..at].contains(role);
    match (roles.is_empty(), roles.iter().enumerate().any(repeats)) {
        (true, _) => Err(garde::Error::new("must have at least one role")),
        (_, true) => Err(garde::Error::new("must not repeat a role")),
        _ => Ok(()),
    }
}

impl Request {
    /// Nobody may give up what makes an administrator.
    fn locks_out(&self) -> Option<&'static str> {
        if self.is_active == Some(false) {
            Some("isActive must not be false for your own account: another administrator can deactivate it")
        } else if self.roles.as_ref().is_some_and(|roles| !is_administrator(roles)) {
            Some("roles of your own account must keep ADMIN or SUPERUSER: another administrator can take it away")
        } else {
            None
        }
    }
}

/// Changes a user. Only for administrators: users whose roles have ADMIN or SUPERUSER.
#[utoipa::path(
    patch, path = "/api/users/{id}", tag = "users", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The user's id")), request_body = Request,
    responses(
        (status = 200, description = "The user as it is now; live sockets follow within a second", body = User),
        (status = 400, description = "`validation_failed`", body = ErrorBody),
        (status = 401, description = "`invalid_token`, or `user_inactive`", body = ErrorBody),
        (status = 403, description = "`need_role`, or `forbidden`: your own account or role", body = ErrorBody),
        (status = 404, description = "`not_found`: no user has this id", body = ErrorBody),
        (status = 413, description = "`payload_too_large`", body = ErrorBody),
        (status = 415, description = "`unsupported_media_type`", body = ErrorBody),
        (status = 503, description = "`unavailable`, with `Retry-After`: nothing has changed", body = ErrorBody),
    ),
)]
#[tracing::instrument(name = "update_user", skip_all)]
pub async fn update_user(
    State(app): State<Arc<App>>,
    Administrator(caller): Administrator,
    Path(id): Path<String>,
    Valid(request): Valid<Request>,
) -> Result<Response, ApiError> {
    let id: Uuid = id.parse().map_err(|_| ApiError::NotFound)?;
    if let Some(text) = request.locks_out().filter(|_| id == caller.user.id) {
        return Err(ApiError::Forbidden(text));
    }
    app.revoker.check().await?;
    let mut change = app.logins.begin().await?;
    let mut user = lock(&mut change, &caller, id).await?;

    user.is_active = request.is_active.unwrap_or(user.is_active);
    user.roles = request.roles.clone().unwrap_or(user.roles);
    user.full_name = request.full_name.map_or(user.full_name, |name| name.trim().to_owned());
    change.update_user(&user).await?;

    let now = now();
    let tokens_until = change.tokens_until(id).await?.unwrap_or(now);
    let ended = if user.is_active { Vec::new() } else { change.end_all(id, None, now).await? };
    let mut entries = app.revoker.ended(&ended, Reason::Deactivated, now);
    if let Some(is_active) = request.is_active {
        entries.push(app.revoker.active(id, is_active, now, tokens_until));
    }
    if request.roles.is_some() {
        entries.push(app.revoker.roles(id, &user.roles, now, tokens_until));
    }
    app.revoker.commit(change, &entries).await?;
    count_ended(Reason::Deactivated, ended.len());
    tracing::info!(by = %caller.user.id, user = %id, is_active = user.is_active, roles = ?user.roles, "user changed");
    Ok(response(StatusCode::OK, user))
}

/// Locks the rows of the caller and of the user, always in the same order, and checks that the caller still is an
/// administrator: two who take the role from each other at the same time must not both succeed.
async fn lock(change: &mut Change, caller: &Bearer, id: Uuid) -> Result<User, ApiError> {
    let caller_id = caller.user.id;
    let (mut found, mut caller_now) = (None, None);
    for locked in [id.min(caller_id), id.max(caller_id)] {
        let account = change.lock_user(locked).await?;
        if locked == caller_id {
            caller_now.clone_from(&account);
        }
        if locked == id {
            found = account;
        }
    }
    let caller_now = caller_now.ok_or(ApiError::InvalidToken)?.user;
    if !caller_now.is_active {
        return Err(ApiError::UserInactive);
    }
    if !is_administrator(&caller_now.roles) {
        return Err(ApiError::NeedRole);
    }
    Ok(found.ok_or(ApiError::NotFound)?.user)
}
