//! POST and GET `/v1/users/{id}/notifications`, DELETE `…/{notificationId}`, and POST `/v1/users/notifications` for
//! many users at once.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
};
use jackfield_cluster::inbox::{NotificationId, Posted};
use jackfield_shared::http::body::Body;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::{
    api_query::ApiQuery,
    caller::{Caller, Notify, Read},
    error::{ApiError, Errors, NotFound, PostErrors},
    idempotency::{IdempotencyKey, OperationId},
    state::Api,
    user_id,
};
use crate::notification;

pub(crate) const MAX_TITLE: usize = 200;
pub(crate) const MAX_MESSAGE: usize = 4_000;
pub(crate) const MAX_TYPE: usize = 64;
/// Bytes of JSON.
const MAX_DATA: usize = 16 * 1_024;

/// A notification for one user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NotificationRequest)]
pub(crate) struct Request {
    #[schema(min_length = 1, max_length = 200)]
    title: String,
    #[schema(min_length = 1, max_length = 4_000)]
    message: String,
    #[schema(min_length = 1, max_length = 64, example = "info")]
    r#type: String,
    /// Anything, at most 16 KiB of JSON, nested less than 64 levels deep.
    #[schema(value_type = Option<Value>)]
    data: Option<Box<RawValue>>,
}

/// A notification for many users.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NotificationsRequest)]
pub(crate) struct ManyRequest {
    #[schema(schema_with = user_id::many)]
    user_ids: Vec<Arc<str>>,
    #[schema(min_length = 1, max_length = 200)]
    title: String,
    #[schema(min_length = 1, max_length = 4_000)]
    message: String,
    #[schema(min_length = 1, max_length = 64, example = "info")]
    r#type: String,
    /// Anything, at most 16 KiB of JSON, nested less than 64 levels deep.
    #[schema(value_type = Option<Value>)]
    data: Option<Box<RawValue>>,
}

/// The notification was stored, and is being sent to the user's devices.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stored {
    notification_id: String,
    unread_count: u64,
    /// Number of sessions that it was sent to.
    delivered: usize,
}

/// The notification was stored for each user, and is being sent.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoredForMany {
    /// The same for all users.
    notification_id: String,
    /// Number of users.
    users: usize,
    /// Number of sessions that it was sent to.
    delivered: usize,
}

/// Selects notifications.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Lists notifications older than the one with this id; the newest if omitted.
    #[param(pattern = "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-7[0-9A-Fa-f]{3}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$")]
    before: Option<String>,
    /// 1 to 100; 50 if omitted.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
}

/// Newest first.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only for the OpenAPI document: the notifications are JSON text already")]
pub(crate) struct Listed {
    notifications: Vec<Notification>,
    unread_count: u64,
    /// Whether there are older notifications.
    more: bool,
}

/// A stored notification.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only for the OpenAPI document: the notifications are JSON text already")]
pub(crate) struct Notification {
    id: String,
    title: String,
    message: String,
    r#type: String,
    #[schema(value_type = Option<Value>, required = false)]
    data: (),
    read: bool,
    created_at: String,
}

/// Notifies a user: stores the notification, and sends it to the user's devices.
#[utoipa::path(
    post, path = "/v1/users/{id}/notifications", tag = "notifications", request_body = Request,
    security(("apiKey" = [])),
    params(("id" = String, Path, description = "The user", min_length = 1, max_length = 128), IdempotencyKey),
    responses((status = 201, description = "Stored, and being sent", body = Stored), Errors, PostErrors),
)]
pub(crate) async fn notify(
    _: Caller<Notify>,
    State(api): State<Arc<Api>>,
    Path(id): Path<Arc<str>>,
    operation: OperationId,
    Body(Request { title, message, r#type, data }): Body<Request>,
) -> Result<(StatusCode, Json<Stored>), ApiError> {
    user_id::check("id", &id)?;
    let posted = posted(&operation, &title, &message, &r#type, data.as_deref())?;
    let added = api.shared.cluster.inbox.add(&id, &posted).await?;
    let stored =
        Stored { notification_id: posted.id.to_string(), unread_count: added.unread, delivered: added.delivered };
    Ok((StatusCode::CREATED, Json(stored)))
}

/// Notifies many users.
#[utoipa::path(
    post, path = "/v1/users/notifications", tag = "notifications", request_body = ManyRequest,
    security(("apiKey" = [])), params(IdempotencyKey),
    responses((status = 201, description = "Stored, and being sent", body = StoredForMany), Errors, PostErrors),
)]
pub(crate) async fn notify_many(
    _: Caller<Notify>,
    State(api): State<Arc<Api>>,
    operation: OperationId,
    Body(ManyRequest { user_ids, title, message, r#type, data }): Body<ManyRequest>,
) -> Result<(StatusCode, Json<StoredForMany>), ApiError> {
    let users = user_id::check_many("userIds", user_ids)?;
    let posted = posted(&operation, &title, &message, &r#type, data.as_deref())?;
    let added = api.shared.cluster.inbox.add_many(&users, &posted).await?;
    let stored = StoredForMany {
        notification_id: posted.id.to_string(),
        users: users.len(),
        delivered: added.iter().map(|added| added.delivered).sum(),
    };
    Ok((StatusCode::CREATED, Json(stored)))
}

/// A user's notifications.
#[utoipa::path(
    get, path = "/v1/users/{id}/notifications", tag = "notifications", security(("apiKey" = [])),
    params(("id" = String, Path, description = "The user", min_length = 1, max_length = 128), ListQuery),
    responses((status = 200, description = "Newest first", body = Listed), Errors),
)]
pub(crate) async fn list(
    _: Caller<Read>,
    State(api): State<Arc<Api>>,
    Path(id): Path<Arc<str>>,
    ApiQuery(ListQuery { before, limit }): ApiQuery<ListQuery>,
) -> Result<impl IntoResponse, ApiError> {
    user_id::check("id", &id)?;
    let (before, limit) = notification::page_of(before, limit).map_err(ApiError::wrong)?;
    let page = api.shared.cluster.inbox.list(&id, before, limit).await?;
    Ok(([(CONTENT_TYPE, "application/json")], format!("{{{}}}", notification::page_fields(&page))))
}

/// Deletes a notification, and notifies the user's devices.
#[utoipa::path(
    delete, path = "/v1/users/{id}/notifications/{notificationId}", tag = "notifications", security(("apiKey" = [])),
    params(
        ("id" = String, Path, description = "The user", min_length = 1, max_length = 128),
        ("notificationId" = String, Path, description = "The notification", pattern = "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-7[0-9A-Fa-f]{3}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"),
    ),
    responses((status = 204, description = "Deleted"), Errors, NotFound),
)]
pub(crate) async fn delete(
    _: Caller<Notify>,
    State(api): State<Arc<Api>>,
    Path((id, nid)): Path<(Arc<str>, String)>,
) -> Result<StatusCode, ApiError> {
    user_id::check("id", &id)?;
    let nid = NotificationId::parse(&nid).ok_or(ApiError::NotFound("notification"))?;
    match api.shared.cluster.inbox.delete(&id, nid).await?.found {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::NotFound("notification")),
    }
}

/// Uses the operation's id, so that a repeated call stores the notification once.
fn posted(
    OperationId(id): &OperationId,
    title: &str,
    message: &str,
    kind: &str,
    data: Option<&RawValue>,
) -> Result<Posted, ApiError> {
    let mut wrong = Vec::new();
    for (field, text, max) in [("title", title, MAX_TITLE), ("message", message, MAX_MESSAGE), ("type", kind, MAX_TYPE)]
    {
        if !(1..=max).contains(&text.chars().count()) {
            wrong.push(format!("{field} must have 1 to {max} characters"));
        }
    }
    if data.is_some_and(|data| data.get().len() > MAX_DATA) {
        wrong.push(format!("at most {MAX_DATA} bytes in data"));
    }
    if !wrong.is_empty() {
        return Err(ApiError::Validation(wrong));
    }
    // An operation's id is a UUID v7, like a notification's.
    let id = NotificationId::parse(id).unwrap_or_default();
    Ok(notification::posted(id, title, message, kind, data))
}
