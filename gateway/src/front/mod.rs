//! The front: everything before the engine on the public port.
//!
//! [`admission`] decides whether a new handshake is admitted, [`client_js`] serves the stock browser client, [`cors`]
//! restricts the origins whose pages may connect, [`compression`] compresses long answers to polls.

mod admission;
mod client_js;
mod compression;
mod cors;

use std::{convert::Infallible, sync::Arc};

use axum::{Router, body::Body, http::Request, middleware::from_fn_with_state, routing::any};

use crate::{
    api,
    engine::{Engine, EngineLimits},
    node::Node,
};

/// The public routes of `node`: everything below `socket.path`, and `/v1` if it is public.
pub fn router(node: &Arc<Node>) -> Router {
    let settings = &node.settings;
    let limits = EngineLimits {
        ping_interval: settings.ping.interval,
        ping_timeout: settings.ping.timeout,
        queue: settings.limits.queue as usize,
        queue_bytes: settings.limits.queue_bytes as usize,
        queue_age: settings.limits.queue_age,
        max_message: settings.limits.message as usize,
        payload: settings.limits.payload as usize,
        attachments: settings.limits.attachments as usize,
        longest_namespace: node.longest_namespace(),
    };
    let engine = Engine::new(node, limits);
    let engine = any(move |request: Request<Body>| engine.clone().answer(request))
        .layer::<_, Infallible>(from_fn_with_state(Arc::clone(node), admission::admit))
        .layer(compression::layer(settings.limits.compression));
    let path = settings.socket_path();
    let mut routes = client_js::router(path).route(path, engine.clone()).route(&format!("{path}/"), engine);
    if settings.api.public {
        routes = routes.merge(api::router(node, node.settings.proxy.hops as usize));
    }
    cors::wrap(routes, &settings.cors.origins)
}
