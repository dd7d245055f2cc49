//! `Idempotency-Key`: a POST with a key runs once in five minutes, in the whole cluster, and repeated calls get the
//! first call's reply.
//!
//! A key belongs to its caller. If the outcome of a call is unknown, the caller may repeat it under the same key: the
//! repeated call runs under the first attempt's [`OperationId`], so that data stored by that id is stored once. A first
//! attempt that was refused (4xx) had no effect, so its key is free again for the corrected call.

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequestParts, Request, State},
    http::{
        HeaderValue, Method, StatusCode,
        header::{CONTENT_TYPE, HeaderName},
        request::Parts,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use jackfield_cluster::idempotency::{Attempt, Begun};
use jackfield_shared::{http::layers::for_status, ids::new_id};
use sha2::{Digest as _, Sha256};
use utoipa::IntoParams;

use super::{
    caller,
    error::ApiError,
    state::{Api, LIMITS},
};

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Marks the repetition of an earlier reply.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
pub(super) const MAX_KEY: usize = 255;

/// The header, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "a description")]
pub(crate) struct IdempotencyKey {
    /// Calls with the same key within five minutes run once.
    #[param(
        rename = "Idempotency-Key",
        nullable = false,
        min_length = 1,
        max_length = 255,
        pattern = "^[\\x21-\\x7e]+$"
    )]
    key: Option<String>,
}

/// A call's id: the same for all attempts under one `Idempotency-Key`; without a key, a new one.
#[derive(Debug, Clone)]
pub(crate) struct OperationId(pub String);

impl OperationId {
    /// The id of the call with this index in a batch: the same for all attempts. Like every operation's, a UUID v7.
    pub(super) fn of_call(&self, index: usize) -> Self {
        let Self(batch) = self;
        let hash = Sha256::digest(format!("{batch} {index}"));
        let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        // The batch's time, the version, the variant, and random bits in between.
        let time = batch.get(..13).unwrap_or_default();
        let (a, b, c) = (number(&hash[..2]) & 0xfff, number(&hash[2..4]) & 0x3fff | 0x8000, number(&hash[4..10]));
        Self(format!("{time}-7{a:03x}-{b:04x}-{c:012x}"))
    }
}

impl<S: Sync> FromRequestParts<S> for OperationId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_else(|| Self(new_id())))
    }
}

/// The id of a call with an `Idempotency-Key`, of which there may be another attempt.
#[derive(Debug, Clone)]
pub(crate) struct RepeatedOperation(pub Option<String>);

impl<S: Sync> FromRequestParts<S> for RepeatedOperation {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get().map(|OperationId(id)| id.clone())))
    }
}

/// The layer that runs a POST with a key once.
pub(crate) async fn once(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let key = request.headers().get(IDEMPOTENCY_KEY).cloned();
    let caller = caller::key_of(request.headers(), &api).map(|key| key.name.clone());
    match (key, caller) {
        (Some(key), Some(caller)) if request.method() == Method::POST => {
            match attempt(&api, &caller, &key, request, next).await {
                Ok(response) => response,
                Err(error) => error.into_response(),
            }
        }
        // The endpoint refuses calls without a valid API key.
        _ => next.run(request).await,
    }
}

async fn attempt(
    api: &Api,
    caller: &str,
    key: &HeaderValue,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let visible = |key: &&str| (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    let key =
        key.to_str().ok().filter(visible).ok_or_else(|| {
            ApiError::wrong(format!("Idempotency-Key must have 1 to {MAX_KEY} visible ASCII characters"))
        })?;
    let name = format!("{caller} {key}");
    let (mut parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LIMITS.body).await else {
        return Ok(for_status(StatusCode::PAYLOAD_TOO_LARGE).into_response());
    };
    let id = new_id();
    let fingerprint = fingerprint(&parts, &body);
    let names = &api.shared.cluster.idempotency;
    let first_id = match names.begin(Attempt { name: &name, fingerprint: &fingerprint, id: &id }).await? {
        Begun::Go(id) => id,
        Begun::Running => return Err(ApiError::InProgress),
        Begun::Other => return Err(ApiError::KeyReused),
        Begun::Done(reply) => return Ok(replayed(&reply)),
    };
    let is_first = first_id == id;
    parts.extensions.insert(OperationId(first_id));
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let (parts, body) = response.into_parts();
    // The endpoint made the body in memory, so reading it cannot fail.
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let status = parts.status;
    // If this fails, the next attempt runs under the same id, once this one no longer counts as running.
    let _ = match () {
        () if status.is_client_error() && is_first => names.refused(&name).await,
        // An earlier attempt may have had an effect.
        () if status.is_client_error() || status.is_server_error() => names.failed(&name).await,
        () => names.done(&name, &Bytes::from([status.as_str().as_bytes(), b" ", &body].concat())).await,
    };
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// Differs for another path, query or body.
fn fingerprint(parts: &Parts, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(parts.uri.path_and_query().map_or("/", |path| path.as_str()));
    hash.update([0]);
    hash.update(body);
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The response from the stored reply, `<status> <JSON>`.
fn replayed(reply: &Bytes) -> Response {
    let status = reply.get(..3).and_then(|status| StatusCode::from_bytes(status).ok());
    let (Some(status), Some(body)) = (status, reply.get(4..)) else {
        return for_status(StatusCode::INTERNAL_SERVER_ERROR).into_response();
    };
    let body = reply.slice_ref(body);
    let headers =
        [(CONTENT_TYPE, HeaderValue::from_static("application/json")), (REPLAYED, HeaderValue::from_static("true"))];
    // A reply without a body has no content type.
    if body.is_empty() {
        return (status, [(REPLAYED, HeaderValue::from_static("true"))]).into_response();
    }
    (status, headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use jackfield_cluster::inbox::NotificationId;

    use super::*;

    #[test]
    fn a_batchs_calls_have_ids_of_their_own_which_repeat() {
        let batch = OperationId(new_id());
        let ids: Vec<String> = (0..1_000).map(|index| batch.of_call(index).0).collect();
        assert!(ids.iter().all(|id| NotificationId::parse(id).is_some()), "{}", ids[0]);
        let different: std::collections::HashSet<_> = ids.iter().collect();
        assert_eq!(different.len(), 1_000);
        assert_eq!(batch.of_call(7).0, ids[7]);
        assert_ne!(OperationId(new_id()).of_call(7).0, ids[7]);
    }
}
