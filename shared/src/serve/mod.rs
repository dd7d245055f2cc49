//! Accepts connections and serves HTTP/1.1 with upgrades.
//!
//! Guarantees: `TCP_NODELAY` is on; the kernel drops a peer that acknowledges nothing; a connection whose headers are
//! not complete in time is closed; every connection's task is tracked and ends soon after the lifecycle does. Requests
//! carry the peer's address as [`ConnectInfo`]; several `Host` headers, or none in HTTP/1.1, are answered 400, as
//! HTTP/1.1 demands. Failures to accept (mostly for lack of descriptors) are logged when they begin and when they are
//! over. A [`First`] may take connections over before HTTP. A crowd that connects does not keep others waiting: they run
//! after every few connections.

mod first;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    response::{IntoResponse as _, Response},
};
use hyper::{Request, StatusCode, Version, body::Incoming, header::HOST, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tower::ServiceExt as _;

use self::first::Owner;
pub use self::first::{First, Taker};
use crate::{error_body::ErrorBody, lifecycle::Lifecycle};

/// Connections that are accepted before others run.
const AT_ONCE: usize = 16;
/// For a request's headers to be complete.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that acknowledges no sent data for this long is gone.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// How long a request in progress may take at shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(8);
/// The pause after a failure to accept, so that the loop does not spin.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Failures are over after this long without another: while descriptors are short, some connections are accepted.
const QUIET_PERIOD: Duration = Duration::from_secs(5);

/// Serves `router` on `listener` until the lifecycle ends, but for the connections that `first` takes over.
pub async fn serve(listener: TcpListener, router: Router, first: Option<Arc<dyn First>>, lifecycle: Lifecycle) {
    let stopping = lifecycle.stopping();
    let mut failures = Failures::default();
    set_options(&listener);
    for accepted in 1_usize.. {
        if accepted.is_multiple_of(AT_ONCE) {
            tokio::task::yield_now().await;
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = failures.over() => {
                tracing::info!(listener = ?listener.local_addr().ok(), "can accept connections again");
                failures = Failures::default();
                continue;
            }
            () = stopping.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                lifecycle.spawn(connection(stream, peer, router.clone(), first.clone(), lifecycle.clone()));
            }
            Err(error) => {
                if failures.is_first() {
                    tracing::warn!(
                        listener = ?listener.local_addr().ok(),
                        %error,
                        "cannot accept connections, retrying; if descriptors run out, raise the limit of open files"
                    );
                }
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

/// A series of failures to accept.
#[derive(Default)]
struct Failures {
    last: Option<Instant>,
}

impl Failures {
    /// Notes a failure; returns whether it is the first of its series.
    fn is_first(&mut self) -> bool {
        self.last.replace(Instant::now()).is_none()
    }

    /// Completes once the last failure is long enough ago; never if there was none.
    async fn over(&self) {
        match self.last {
            Some(last) => tokio::time::sleep_until(last + QUIET_PERIOD).await,
            None => std::future::pending().await,
        }
    }
}

/// Connections inherit these options, so that accepting one needs no further system call.
fn set_options(listener: &TcpListener) {
    let socket = SockRef::from(listener);
    // Connections work without them, too.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
}

async fn connection(
    mut stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    first: Option<Arc<dyn First>>,
    lifecycle: Lifecycle,
) {
    if let Some(first) = first {
        let stopping = lifecycle.stopping();
        let owner = stopping.run_until_cancelled(first::owner(&mut stream, peer, &*first));
        match tokio::time::timeout(HEADERS_TIMEOUT, owner).await {
            Ok(Some(Owner::Http)) => {}
            Ok(Some(Owner::Taken(taker, rest))) => return taker(stream, rest),
            Ok(Some(Owner::Gone) | None) | Err(_) => return,
        }
    }
    // Boxed, so that the task of a connection that is taken over has no room for it.
    Box::pin(http(stream, peer, router, lifecycle)).await;
}

async fn http(stream: TcpStream, peer: SocketAddr, router: Router, lifecycle: Lifecycle) {
    let service = service_fn(move |request| handle(router.clone(), peer, request));
    let mut serving = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    // An error is ignored: the peer has left, or sent no valid HTTP.
    tokio::select! {
        _ = serving.as_mut() => {}
        () = lifecycle.stopping().cancelled_owned() => {
            serving.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(SHUTDOWN_GRACE, serving).await;
        }
    }
}

async fn handle(
    router: Router,
    peer: SocketAddr,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let hosts = request.headers().get_all(HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() >= Version::HTTP_11) {
        let refusal = ErrorBody::new(StatusCode::BAD_REQUEST, "bad_request", "Send exactly one Host header");
        return Ok(refusal.into_response());
    }
    request.extensions_mut().insert(ConnectInfo(peer));
    router.oneshot(request).await
}

/// The address of the internal port: `internal`, or if that is empty `public`, or loopback if that stands for all
/// addresses: by default, endpoints for operators must not be reachable from everywhere.
#[must_use]
pub fn internal_host<'a>(internal: &'a str, public: &'a str) -> &'a str {
    match (internal, public) {
        ("", "" | "0.0.0.0" | "::" | "[::]") => "127.0.0.1",
        ("", public) => public,
        (internal, _) => internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// The first line of the answer to a request.
    async fn status(head: &str) -> String {
        let lifecycle = Lifecycle::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().route("/", get(|| async { "here" }));
        lifecycle.spawn(serve(listener, routes, None, lifecycle.clone()));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        lifecycle.finish(Duration::from_secs(5)).await;
        answer.lines().next().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn a_request_must_have_one_host() {
        for (head, expected) in [
            ("GET / HTTP/1.1\r\nHost: here\r\n", "HTTP/1.1 200 OK"),
            ("GET / HTTP/1.1\r\n", "HTTP/1.1 400 Bad Request"),
            ("GET / HTTP/1.1\r\nHost: here\r\nHost: there\r\n", "HTTP/1.1 400 Bad Request"),
            ("GET / HTTP/1.1\r\nHost: here\r\nhost: here\r\n", "HTTP/1.1 400 Bad Request"),
            ("GET / HTTP/1.0\r\n", "HTTP/1.0 200 OK"),
            ("GET / HTTP/1.0\r\nHost: here\r\nHost: there\r\n", "HTTP/1.0 400 Bad Request"),
        ] {
            assert_eq!(status(head).await, expected, "{head}");
        }
    }

    #[tokio::test]
    async fn connections_inherit_the_options_of_their_listener() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        set_options(&listener);
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        assert!(stream.nodelay().unwrap());
        assert_eq!(SockRef::from(&stream).tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED));
        drop(client);
    }

    /// Takes every request over that it is offered, and writes its path and the bytes after it.
    struct Echo;

    impl First for Echo {
        fn takes(&self, request: &axum::http::request::Parts, _: SocketAddr) -> Option<Taker> {
            let path = request.uri.path().to_owned();
            Some(Box::new(move |stream, rest| {
                stream.try_write(path.as_bytes()).unwrap();
                stream.try_write(&rest).unwrap();
            }))
        }
    }

    #[tokio::test]
    async fn a_connection_is_taken_over_whole_or_left_untouched() {
        let lifecycle = Lifecycle::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().route("/x", get(|| async { "HTTP" }));
        lifecycle.spawn(serve(listener, routes, Some(Arc::new(Echo)), lifecycle.clone()));
        let get = |lines: &str| format!("GET /x HTTP/1.1\r\nHost: here\r\nConnection: close\r\n{lines}\r\n");
        for (request, expected) in [
            (get("Upgrade: any\r\n") + "rest", "/xrest"),
            (get(""), "HTTP"),
            // Not whole in the bytes that are looked at.
            (get(&format!("Upgrade: any\r\nX-Long: {}\r\n", "x".repeat(10_000))), "HTTP"),
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.ends_with(expected), "{answer}");
        }
        lifecycle.finish(Duration::from_secs(5)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_series_of_failures_begins_and_ends_once() {
        let mut failures = Failures::default();
        assert!(tokio::time::timeout(QUIET_PERIOD * 10, failures.over()).await.is_err(), "there was none");
        assert!(failures.is_first());
        for _ in 0..20 {
            assert!(tokio::time::timeout(QUIET_PERIOD / 2, failures.over()).await.is_err(), "they go on");
            assert!(!failures.is_first());
        }
        failures.over().await;
    }

    #[test]
    fn the_internal_port_is_where_the_public_one_is_or_on_loopback() {
        for (internal, public, host) in [
            ("", "0.0.0.0", "127.0.0.1"),
            ("", "[::]", "127.0.0.1"),
            ("", "127.0.0.1", "127.0.0.1"),
            ("", "192.0.2.7", "192.0.2.7"),
            ("0.0.0.0", "127.0.0.1", "0.0.0.0"),
        ] {
            assert_eq!(internal_host(internal, public), host, "{internal} {public}");
        }
    }
}
