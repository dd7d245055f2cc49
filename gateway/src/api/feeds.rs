//! POST `/v1/feeds/{feed}`: sends an update to a feed's subscribers.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use jackfield_cluster::log::Appended;
use jackfield_shared::http::body::Body;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    caller::{Caller, Publish},
    durable::Durable,
    error::{ApiError, Errors, NotFound, PostErrors},
    idempotency::IdempotencyKey,
    state::Api,
};
use crate::feed::{Change, PublishError};

pub(crate) const MAX_ENTITY: usize = 64;
/// Bytes of JSON.
const MAX_DATA: usize = 64 * 1_024;

/// An update for a feed's subscribers.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FeedRequest)]
pub(crate) struct Request {
    r#type: ChangeDoc,
    /// The feed's configured entity if omitted.
    #[schema(min_length = 1, max_length = 64, example = "PRODUCTOS")]
    entity: Option<String>,
    /// Anything, at most 64 KiB of JSON, nested less than 64 levels deep.
    #[schema(value_type = Value)]
    data: Box<RawValue>,
}

/// The kind of change.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = Change)]
enum ChangeDoc {
    /// It was created.
    Create,
    /// It was changed.
    Update,
    /// It was deleted.
    Delete,
}

/// The update was stored, and is being sent.
#[derive(Serialize, ToSchema)]
pub(crate) struct Published {
    /// Ids sort in the feed's order.
    id: String,
    durable: Durable,
}

/// Publishes an update.
#[utoipa::path(
    post, path = "/v1/feeds/{feed}", tag = "feeds", request_body = Request, security(("apiKey" = [])),
    params(("feed" = String, Path, description = "The feed's configured name", example = "productos"), IdempotencyKey),
    responses((status = 202, description = "Stored, and being sent", body = Published), Errors, PostErrors, NotFound),
)]
pub(crate) async fn publish(
    _: Caller<Publish>,
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Body(Request { r#type, entity, data }): Body<Request>,
) -> Result<(StatusCode, Json<Published>), ApiError> {
    if entity.as_ref().is_some_and(|entity| !(1..=MAX_ENTITY).contains(&entity.chars().count())) {
        return Err(ApiError::wrong(format!("entity must have 1 to {MAX_ENTITY} characters")));
    }
    if data.get().len() > MAX_DATA {
        return Err(ApiError::wrong(format!("at most {MAX_DATA} bytes in data")));
    }
    let change = match r#type {
        ChangeDoc::Create => Change::Create,
        ChangeDoc::Update => Change::Update,
        ChangeDoc::Delete => Change::Delete,
    };
    let published = api.shared.feeds.publish(&name, change, entity.as_deref(), &data).await;
    let Appended { position, durable, .. } = published.map_err(|error| match error {
        PublishError::NoSuchFeed => ApiError::NotFound("feed"),
        PublishError::Unavailable(unavailable) => unavailable.into(),
    })?;
    Ok((StatusCode::ACCEPTED, Json(Published { id: position.to_string(), durable: durable.into() })))
}
