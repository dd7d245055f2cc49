//! Accepts connections and serves HTTP/1.1 with upgrades.
//!
//! Guarantees: `TCP_NODELAY` is on; a peer that acknowledges nothing is given up by the kernel; one that does not finish
//! its headers in time is closed; every connection's task is tracked and ends soon after the lifecycle does. Requests
//! carry the peer's address as [`ConnectInfo`].

use std::{net::SocketAddr, time::Duration};

use axum::{Router, extract::ConnectInfo};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

use crate::lifecycle::Lifecycle;

const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// A peer that acknowledges nothing of what was sent for this long is gone.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// At the end, how long a request that is being answered may take.
const LAST_ANSWERS: Duration = Duration::from_secs(8);
/// After a failure to accept (out of descriptors, mostly), so that the loop does not spin.
const BREATHE: Duration = Duration::from_millis(50);

/// Serves `router` on `listener` until the lifecycle ends.
pub async fn serve(listener: TcpListener, router: Router, lifecycle: Lifecycle) {
    let stopping = lifecycle.stopping();
    while let Some(accepted) = stopping.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                tune(&stream);
                lifecycle.spawn(connection(stream, peer, router.clone(), lifecycle.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(BREATHE).await;
            }
        }
    }
}

fn tune(stream: &TcpStream) {
    // Where an option cannot be set the connection still works.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED));
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, lifecycle: Lifecycle) {
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let mut serving = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS_WITHIN)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    // An error is the peer's manner of leaving.
    tokio::select! {
        _ = serving.as_mut() => {}
        () = lifecycle.stopping().cancelled_owned() => {
            serving.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(LAST_ANSWERS, serving).await;
        }
    }
}
