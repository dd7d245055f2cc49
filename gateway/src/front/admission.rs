//! Decides whether a new handshake is admitted.
//!
//! A handshake waits up to 3 s for the node to be ready, for the rate limits, and while a crowd waits to be let in
//! ([`crate::session::registry::Turnstile`]). After that it is answered with 503: the stock client then reconnects by
//! itself after its own backoff, because it ignores `Retry-After`. Requests of admitted connections pass unchanged. The
//! number of waiting handshakes is bounded, in total and per address, and so are an address's connections without a
//! session: see [`crate::limits::Address`]. The wait also slows the retries of an address above its limits.

use std::{
    net::SocketAddr,
    sync::{Arc, Once},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    http::{HeaderMap, Request, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use jackfield_engine::{Handshake, Transport};
use jackfield_shared::{error_body::ErrorBody, http::client_address::origin, time::now};

use super::Admitted;
use crate::{
    limits::{Address, PendingPermit},
    metrics,
    session::{Shared, registry::LimitReached},
};

/// How long a handshake may wait to be admitted.
const WAIT: Duration = Duration::from_secs(3);
/// Shortest and longest pause between two checks of a handshake, if the time to wait is unknown.
const CHECK_EVERY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(250));
const RETRY_AFTER_SECONDS: u64 = 2;

pub(super) async fn admit(State(shared): State<Arc<Shared>>, request: Request<Body>, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let handshake = Handshake::parse(&parts);
    let mut request = Request::from_parts(parts, body);
    let mut permit = None;
    if handshake.sid.is_none() {
        let peer = request.extensions().get().map(|ConnectInfo(peer)| *peer);
        match wait(&shared, address(&shared, peer, request.headers())).await {
            Ok(admitted) => permit = admitted,
            Err(Refusal { error, .. }) => {
                metrics::HANDSHAKES_REFUSED.add_for([error.code], 1);
                return error.into_response();
            }
        }
        count(&handshake);
    } else {
        shared.relay.joined().await;
        if handshake.transport == Some(Transport::WebSocket) {
            metrics::UPGRADES.add(1);
        }
    }
    // The engine passes the permit to the connection; if no connection opens, dropping the permit releases it.
    request.extensions_mut().insert(Admitted { handshake, permit });
    next.run(request).await
}

/// Admits a handshake over a WebSocket: with a permit, or without. `None` if it cannot be admitted at once.
pub(super) fn admit_at_once(
    shared: &Shared,
    handshake: &Handshake,
    peer: SocketAddr,
    headers: &HeaderMap,
) -> Option<Option<Arc<PendingPermit>>> {
    let permit = check(shared, address(shared, Some(peer), headers).as_ref()).ok()?;
    count(handshake);
    Some(permit)
}

/// Counts an admitted handshake.
fn count(handshake: &Handshake) {
    let transport = match handshake.transport {
        Some(Transport::Polling) => "polling",
        Some(Transport::WebSocket) => "websocket",
        None => "",
    };
    metrics::HANDSHAKES.add_for([transport], 1);
}

/// The handshake's client address; `None` if it is unknown, because `proxy.hops` does not count the proxies in front.
fn address(shared: &Shared, peer: Option<SocketAddr>, headers: &HeaderMap) -> Option<Arc<Address>> {
    static HINT: Once = Once::new();
    let peer = peer?.ip();
    let origin = origin(Some(peer), headers, shared.settings.proxy.hops as usize);
    if origin.is_unknown_proxy {
        HINT.call_once(|| {
            tracing::warn!(
                %peer,
                "a proxy sends X-Forwarded-For, but `proxy.hops` is 0: limits by client address are off; set \
                 `proxy.hops` (PROXY_HOPS) to the number of proxies"
            );
        });
        return None;
    }
    Some(shared.limiter.address(&shared.settings.limits, origin.address))
}

/// Why a handshake is not admitted now, and the time until it may be, if known.
struct Refusal {
    error: ErrorBody,
    wait: Option<Duration>,
}

async fn wait(shared: &Shared, address: Option<Arc<Address>>) -> Result<Option<Arc<PendingPermit>>, Refusal> {
    let until = now() + WAIT;
    let (mut waiting, mut pause) = (None, CHECK_EVERY.0);
    loop {
        let refusal = match check(shared, address.as_ref()) {
            Ok(permit) => return Ok(permit),
            Err(refusal) => refusal,
        };
        // Refuse at once when draining or timed out.
        if shared.refuses_handshakes() || now() >= until {
            return Err(refusal);
        }
        if waiting.is_none() {
            waiting = shared.limiter.wait(address.as_ref());
            if waiting.is_none() {
                return Err(refusal);
            }
        }
        let due = until.min(now() + refusal.wait.unwrap_or(pause));
        while now() < due && !shared.refuses_handshakes() {
            tokio::time::sleep(CHECK_EVERY.1.min(due - now())).await;
        }
        pause = (pause * 2).min(CHECK_EVERY.1);
    }
}

fn check(shared: &Shared, address: Option<&Arc<Address>>) -> Result<Option<Arc<PendingPermit>>, Refusal> {
    let refusal_until = |wait, code, message: &str| {
        let error = ErrorBody::new(StatusCode::SERVICE_UNAVAILABLE, code, message).retry_after(RETRY_AFTER_SECONDS);
        Err(Refusal { error, wait })
    };
    let refusal = |code, message| refusal_until(None, code, message);
    if shared.refuses_handshakes() {
        return refusal("server_draining", "This node is shutting down, connect again");
    }
    if !shared.readiness().can_serve() {
        return refusal("unavailable", "This node is not ready, connect again");
    }
    if shared.connecting.is_crowded() || shared.joining.is_crowded() {
        return refusal("too_many_connections", "Many clients are connecting to this node, connect again later");
    }
    match shared.limiter.admit(&shared.settings.limits, address) {
        Ok(permit) => Ok(permit),
        Err(LimitReached::Node) => {
            refusal("too_many_connections", "This node accepts no more connections now, connect again later")
        }
        Err(LimitReached::Address { wait }) => {
            refusal_until(wait, "too_many_connections", "Too many connections from this address, connect again later")
        }
    }
}
