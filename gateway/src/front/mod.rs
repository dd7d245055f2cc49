//! The front: what stands before the engine on the public port.
//!
//! [`admission`] decides whether a new handshake may come in, [`client_js`] serves the stock browser client, [`cors`]
//! says whose pages may connect.

mod admission;
mod client_js;
mod cors;

use std::sync::Arc;

use axum::{Router, body::Body, http::Request, middleware::from_fn_with_state, routing::any};

use crate::{
    api,
    engine::{Engine, EngineLimits},
    node::Node,
};

/// The public routes of `node`: everything below `/socket.io/`, and `/v1` where it is public.
pub fn router(node: &Arc<Node>) -> Router {
    let settings = &node.settings;
    let limits = EngineLimits {
        ping_interval: settings.ping.interval,
        ping_timeout: settings.ping.timeout,
        queue: settings.limits.queue as usize,
        max_message: settings.limits.message as usize,
    };
    let engine = Engine::new(node, limits);
    let engine = any(move |request: Request<Body>| engine.clone().answer(request))
        .layer(from_fn_with_state(Arc::clone(node), admission::admit));
    let mut routes = client_js::router().route("/socket.io", engine.clone()).route("/socket.io/", engine);
    if settings.api.public {
        routes = routes.merge(api::router(node));
    }
    cors::wrap(routes, &settings.cors.origins)
}
