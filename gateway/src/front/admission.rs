//! Decides whether a new handshake is admitted.
//!
//! A handshake waits up to 3 s for the node to be ready and for its turn, and is answered with 503 after that: the
//! stock client then reconnects by itself, and knows no delay but its own backoff. Requests of connections that are
//! already admitted pass untouched. The number of waiting handshakes is bounded, that of one address too, and so are
//! its connections without a session: see [`crate::limits::Address`]. The wait also keeps an address beyond its limits
//! from retrying at once.

use std::{
    net::SocketAddr,
    sync::{Arc, Once},
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    http::{Request, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use jackfield_shared::{error_body::ErrorBody, http::client_address::origin};

use crate::{
    limits::{Address, Place},
    node::{Node, Obstacle},
    ops::metrics,
};

const TIMEOUT: Duration = Duration::from_secs(3);
/// Shortest and longest pause between two checks of a handshake, if the time to wait is not known.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(250));
const RETRY_AFTER_SECONDS: u64 = 2;

pub(super) async fn admit(State(node): State<Arc<Node>>, mut request: Request<Body>, next: Next) -> Response {
    let (handshake, transport) = asked(request.uri().query().unwrap_or_default());
    if handshake {
        match wait(&node, address(&node, &request)).await {
            // The engine passes it to the connection; if there is none, it is released at once.
            Ok(Some(place)) => drop(request.extensions_mut().insert(place)),
            Ok(None) => {}
            Err(Refusal { error, .. }) => {
                metrics::HANDSHAKES_REFUSED.add_for([error.code], 1);
                return error.into_response();
            }
        }
        metrics::HANDSHAKES.add_for([transport], 1);
    } else if transport == "websocket" {
        metrics::UPGRADES.add(1);
    }
    next.run(request).await
}

/// Whether a query is a handshake's, and which transport it names.
fn asked(query: &str) -> (bool, &'static str) {
    let mut asked = (true, "");
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sid", _)) => asked.0 = false,
            Some(("transport", "polling")) => asked.1 = "polling",
            Some(("transport", "websocket")) => asked.1 = "websocket",
            _ => {}
        }
    }
    asked
}

/// The handshake's client address; `None` if it is not known, because the settings do not name the proxies in front.
fn address(node: &Node, request: &Request<Body>) -> Option<Arc<Address>> {
    static HINT: Once = Once::new();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>()?.0.ip();
    let origin = origin(Some(peer), request.headers(), node.settings.proxy.hops as usize);
    if origin.is_unknown_proxy {
        HINT.call_once(|| {
            tracing::warn!(%peer, "X-Forwarded-For comes from a proxy, but `proxy.hops` is 0: no limit by address holds");
        });
        return None;
    }
    Some(node.gate.address(&node.settings.limits, origin.address))
}

/// Why a handshake is not admitted now, and when it may be, if that is known.
struct Refusal {
    error: ErrorBody,
    wait: Option<Duration>,
}

async fn wait(node: &Node, address: Option<Arc<Address>>) -> Result<Option<Arc<Place>>, Refusal> {
    let until = Instant::now() + TIMEOUT;
    let (mut waiting, mut pause) = (None, LOOK_AGAIN.0);
    loop {
        let refusal = match look(node, address.as_ref()) {
            Ok(place) => return Ok(place),
            Err(refusal) => refusal,
        };
        // Refuse at once when draining or timed out.
        if node.turns_away() || Instant::now() >= until {
            return Err(refusal);
        }
        if waiting.is_none() {
            waiting = node.gate.wait(address.as_ref());
            if waiting.is_none() {
                return Err(refusal);
            }
        }
        let due = until.min(Instant::now() + refusal.wait.unwrap_or(pause));
        while Instant::now() < due && !node.turns_away() {
            tokio::time::sleep(LOOK_AGAIN.1.min(due - Instant::now())).await;
        }
        pause = (pause * 2).min(LOOK_AGAIN.1);
    }
}

fn look(node: &Node, address: Option<&Arc<Address>>) -> Result<Option<Arc<Place>>, Refusal> {
    let refusal_until = |wait, code, message: &str| {
        let error = ErrorBody::new(StatusCode::SERVICE_UNAVAILABLE, code, message).retry_after(RETRY_AFTER_SECONDS);
        Err(Refusal { error, wait })
    };
    let refusal = |code, message| refusal_until(None, code, message);
    if node.turns_away() {
        return refusal("server_draining", "This node is on its way out");
    }
    if !node.parts().serves() {
        return refusal("unavailable", "This node is not ready");
    }
    match node.gate.enter(&node.settings.limits, address) {
        Ok(place) => Ok(place),
        Err(Obstacle::Node) => refusal("too_many_connections", "This node takes no more connections at the moment"),
        Err(Obstacle::Address { wait }) => {
            refusal_until(wait, "too_many_connections", "Too many connections from this address at the moment")
        }
    }
}
