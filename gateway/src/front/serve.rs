//! Accepts connections and serves HTTP/1.1 with upgrades.
//!
//! Guarantees: `TCP_NODELAY` is on; a peer that takes nothing for a minute is given up by the kernel; one that does not
//! finish its headers within 10 s is closed; every connection's task is tracked and ends with the lifecycle.

use std::time::Duration;

use axum::Router;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use jackfield_shared::lifecycle::Lifecycle;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// A peer that acknowledges nothing of what was sent for this long is gone.
const UNACKNOWLEDGED: Duration = Duration::from_secs(45);
/// After a failure to accept (out of descriptors, mostly), so that the loop does not spin.
const BREATHE: Duration = Duration::from_millis(50);

/// Serves `router` until the lifecycle ends.
pub async fn serve(listener: TcpListener, router: Router, lifecycle: Lifecycle) {
    let stopping = lifecycle.stopping();
    while let Some(accepted) = stopping.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                tune(&stream);
                lifecycle.spawn(connection(stream, router.clone(), lifecycle.clone()));
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

async fn connection(stream: TcpStream, router: Router, lifecycle: Lifecycle) {
    let service = service_fn(move |request: hyper::Request<Incoming>| router.clone().oneshot(request));
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
            let _ = tokio::time::timeout(HEADERS_WITHIN, serving).await;
        }
    }
}
