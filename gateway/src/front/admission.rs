//! Whether a new handshake may come in.
//!
//! A handshake waits for up to 3 s for the node to be ready and for its turn, and is answered with 503 after that: the
//! stock client comes back by itself after either, and its own backoff is all it knows. Requests of connections that
//! are in already pass untouched.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::State,
    http::{Request, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use jackfield_shared::error_body::ErrorBody;

use crate::{node::Node, ops::metrics};

const PATIENCE: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const RETRY_AFTER_SECONDS: u64 = 2;

pub(super) async fn admit(State(node): State<Arc<Node>>, request: Request<Body>, next: Next) -> Response {
    let (handshake, transport) = asked(request.uri().query().unwrap_or_default());
    if handshake {
        if let Err(refusal) = wait(&node).await {
            metrics::HANDSHAKES_REFUSED.add_for([refusal.code], 1);
            return refusal.into_response();
        }
        metrics::HANDSHAKES.add_for([transport], 1);
    } else if transport == "websocket" {
        metrics::UPGRADES.add(1);
    }
    next.run(request).await
}

/// Whether a query is a handshake's, and which transport it names.
fn asked(query: &str) -> (bool, &str) {
    let mut asked = (true, "");
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sid", _)) => asked.0 = false,
            Some(("transport", transport)) => asked.1 = transport,
            _ => {}
        }
    }
    asked
}

async fn wait(node: &Node) -> Result<(), ErrorBody> {
    let until = Instant::now() + PATIENCE;
    loop {
        let refusal = match look(node) {
            Ok(()) => return Ok(()),
            Err(refusal) => refusal,
        };
        // Who is sent away for good, or would wait in vain, is told at once.
        if refusal.code == "server_draining" || Instant::now() >= until {
            return Err(refusal);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn look(node: &Node) -> Result<(), ErrorBody> {
    let refusal = |code, message: &str| {
        Err(ErrorBody::new(StatusCode::SERVICE_UNAVAILABLE, code, message).retry_after(RETRY_AFTER_SECONDS))
    };
    if node.turns_away() {
        return refusal("server_draining", "This node is on its way out");
    }
    if !node.parts().serves() {
        return refusal("unavailable", "This node is not ready");
    }
    match node.gate.enter(&node.settings.limits) {
        true => Ok(()),
        false => refusal("too_many_connections", "This node takes no more connections at the moment"),
    }
}
