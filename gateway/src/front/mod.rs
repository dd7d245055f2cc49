//! The front: what stands before the engine on the public port.
//!
//! [`admission`] decides whether a new handshake may come in, [`slim`] frees what a connection must not keep,
//! [`client_js`] serves the stock browser client, [`serve`] accepts connections.

mod admission;
mod client_js;
mod cors;
pub mod serve;
mod slim;

use std::sync::Arc;

use axum::{Router, body::Body, http::Request, middleware::from_fn_with_state, routing::any_service};
use tower::ServiceBuilder;

use crate::{
    engine::{EngineLimits, service},
    node::Node,
};

/// The public routes of `node`: everything below `/socket.io/`.
pub fn router(node: &Arc<Node>) -> Router {
    let settings = &node.settings;
    let limits = EngineLimits {
        ping_interval: settings.ping.interval,
        ping_timeout: settings.ping.timeout,
        queue: settings.limits.queue as usize,
        max_message: settings.limits.message as usize,
    };
    let engine = ServiceBuilder::new()
        .layer(from_fn_with_state(Arc::clone(node), admission::admit))
        .map_request(slim::slim as fn(Request<Body>) -> Request<Body>)
        .service(service(node, limits));
    client_js::router()
        .route("/socket.io", any_service(engine.clone()))
        .route("/socket.io/", any_service(engine.clone()))
        // Clients that were given the address of the browser client as theirs ask below it.
        .fallback_service(engine)
        .layer(cors::layer(&settings.cors.origins))
}
