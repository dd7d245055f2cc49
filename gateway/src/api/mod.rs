//! The HTTP interface for backends, `/v1`: one file per endpoint. Any node answers for the whole cluster.
//!
//! The path of a call: [`jackfield_shared::http`] (its id and trace, limits, the format of errors) → [`wrong_keys`]
//! (stops guessing) → [`idempotency`] (runs once) → [`caller`] (key and scope) → endpoint → [`jackfield_cluster`].
//! Guarantees: a caller without a valid key gets nothing but the OpenAPI document; all input is checked before a call
//! takes effect; a call for many users needs no round trip for each of them. Deliberately does not know sockets:
//! messages for them go over the bus, to this node's sockets too.

mod api_query;
mod asyncapi;
mod batch;
mod caller;
mod disconnect;
mod document;
mod durable;
mod emit;
mod error;
mod fact_cursor;
mod fact_merge;
mod facts;
mod feeds;
mod hook_dead;
mod hooks;
mod idempotency;
mod keys;
mod nodes;
mod notifications;
mod revoke;
mod room_members;
mod room_messages;
mod room_path;
mod room_sockets;
mod state;
mod user_id;
mod users;
mod wrong_keys;

use std::sync::Arc;

use axum::{Extension, Router, middleware::from_fn_with_state};
use jackfield_shared::http::{
    docs,
    identify::{Callers, identified},
    layers,
    measure::{Measures, measured},
};
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{batch::Routes, state::LIMITS, wrong_keys::WrongKeys};
pub(crate) use self::{keys::ApiKeys, state::Api};
use crate::metrics;

/// The routes, on a port with `hops` proxies in front.
pub(crate) fn router(api: &Arc<Api>, hops: usize) -> Router {
    let (endpoints, document) = endpoints();
    let inner = measured(inner_routes(&endpoints, api), MEASURES);
    let (batch, document) = with_batch(document);
    let endpoints = endpoints
        .merge(batch.layer(Extension(Routes(Arc::new(inner)))))
        .layer(from_fn_with_state(Arc::clone(api), idempotency::once))
        .layer(from_fn_with_state(WrongKeys::new(hops), wrong_keys::limited));
    let routes = endpoints.with_state(Arc::clone(api)).merge(docs::router("/v1", &document)).merge(asyncapi::router());
    identified(measured(layers::wrap(routes, LIMITS), MEASURES), Callers::Backends)
}

const MEASURES: Measures = Measures { answered: &metrics::API_REQUESTS, took: &metrics::API };

/// The endpoints, and their description, without the batch.
fn endpoints() -> (Router<Arc<Api>>, OpenApi) {
    OpenApiRouter::with_openapi(document::document())
        .routes(routes!(emit::emit))
        .routes(routes!(users::status_of_one))
        .routes(routes!(users::status_of_many))
        .routes(routes!(disconnect::disconnect))
        .routes(routes!(revoke::revoke))
        .routes(routes!(notifications::notify, notifications::list))
        .routes(routes!(notifications::notify_many))
        .routes(routes!(notifications::delete))
        .routes(routes!(feeds::publish))
        .routes(routes!(room_messages::send, room_messages::history))
        .routes(routes!(room_members::members))
        .routes(routes!(room_sockets::join))
        .routes(routes!(room_sockets::leave))
        .routes(routes!(nodes::nodes))
        .routes(routes!(nodes::stats))
        .routes(routes!(hooks::hooks))
        .routes(routes!(hook_dead::dead))
        .routes(routes!(hook_dead::retry))
        .routes(routes!(facts::facts))
        .split_for_parts()
}

/// The batch, and the description of all endpoints.
fn with_batch(mut document: OpenApi) -> (Router<Arc<Api>>, OpenApi) {
    let (batch, of_batch) = OpenApiRouter::new().routes(routes!(batch::batch)).split_for_parts();
    document.merge(of_batch);
    (batch, document)
}

/// The routes that a batch calls: all others, without the layers that the batch has passed.
fn inner_routes(endpoints: &Router<Arc<Api>>, api: &Arc<Api>) -> Router {
    let once = from_fn_with_state(Arc::clone(api), idempotency::once);
    endpoints
        .clone()
        .layer(once)
        .method_not_allowed_fallback(batch::unknown)
        .fallback(batch::unknown)
        .with_state(Arc::clone(api))
}
