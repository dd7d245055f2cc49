//! Passes on one GET or POST of a polling client.
//!
//! The client's request and the owner's answer are streamed: neither is held here. Connections to other nodes are kept
//! for a few seconds, at most [`IDLE`] of them to each node; each carries one request at a time, because a poll hangs.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    http::{
        HeaderName, Method, Request, Response, Uri,
        header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE},
    },
};
use bytes::Bytes;
use hyper::{
    body::{Frame, Incoming, SizeHint},
    rt::Executor,
};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioTimer,
};
use jackfield_engine::{Transport, stamp};
use jackfield_shared::lifecycle::Lifecycle;
use tokio::time::Instant;

use super::{Failed, PASS, PATH, Passing, RELEASE, Relay, peers::Peer};

/// How long a connection to a live node may take to open. The kernel repeats a lost first packet after a second.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_millis(1_500);
/// How long an unused connection is kept: for less than the other node keeps it.
const IDLE_FOR: Duration = Duration::from_secs(5);
/// How long requests in progress may take when this node stops, and the time between two checks.
const FINISH_WITHIN: Duration = Duration::from_secs(3);
const CHECK_EVERY: Duration = Duration::from_millis(10);
/// Unused connections to one node.
const IDLE: usize = 256;
/// The owner's headers that matter to the client. An answer that refuses the rest of a body closes the connection.
const HEADERS: [HeaderName; 4] = [CONTENT_TYPE, CONTENT_LENGTH, CACHE_CONTROL, CONNECTION];

pub(super) type Client = legacy::Client<HttpConnector, Body>;

/// Runs the client's connections, until the node stops and what it passes on has ended.
#[derive(Clone)]
struct Tracked {
    lifecycle: Lifecycle,
    passing: Arc<AtomicUsize>,
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tracked {
    fn execute(&self, connection: F) {
        let Self { lifecycle, passing } = self.clone();
        self.lifecycle.spawn(async move {
            let end = async {
                lifecycle.stopping().cancelled().await;
                let until = Instant::now() + FINISH_WITHIN;
                while passing.load(Ordering::Acquire) > 0 && Instant::now() < until {
                    tokio::time::sleep(CHECK_EVERY).await;
                }
            };
            tokio::select! {
                _ = connection => {}
                () = end => {}
            }
        });
    }
}

pub(super) fn client(lifecycle: &Lifecycle, passing: &Arc<AtomicUsize>) -> Client {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_WITHIN));
    legacy::Client::builder(Tracked { lifecycle: lifecycle.clone(), passing: Arc::clone(passing) })
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_FOR)
        .pool_max_idle_per_host(IDLE)
        .build(connector)
}

pub(super) async fn pass_on(relay: &Arc<Relay>, sid: &str, request: Request<Body>) -> Result<Response<Body>, Failed> {
    let passing = relay.begin()?;
    let owner = relay.owner_of(sid).await?;
    let hangs = *request.method() == Method::GET;
    let request = request_to(&owner, relay, Transport::Polling, sid, request)?;
    let mut end = end_of(&owner, relay.limit);
    let mut answering = relay.client.request(request);
    let answer = tokio::select! {
        answer = &mut answering => answer,
        failed = &mut end => return Err(failed),
        () = relay.drained(), if hangs => {
            // Cut off, the poll would end the connection: the owner has to answer it.
            let mut release = Request::new(Body::empty());
            *release.method_mut() = RELEASE;
            let release = request_to(&owner, relay, Transport::Polling, sid, release)?;
            tokio::select! {
                answer = async { drop(relay.client.request(release).await); answering.await } => answer,
                failed = &mut end => return Err(failed),
            }
        }
    };
    let answer = answer.map_err(|error| if error.is_connect() { Failed::Unreachable } else { Failed::Interrupted })?;
    Ok(answer_of(answer, |body| Body::new(Passed { body, end, _passing: passing })))
}

/// The request for the owner. Its path and query have nothing of the client's but the id, which is genuine, and the
/// short [`stamp`].
pub(super) fn request_to(
    owner: &Peer,
    relay: &Relay,
    transport: Transport,
    sid: &str,
    request: Request<Body>,
) -> Result<Request<Body>, Failed> {
    let transport = match transport {
        Transport::Polling => "polling",
        Transport::WebSocket => "websocket",
    };
    let mut uri = format!("http://{}{PATH}?EIO=4&transport={transport}&sid={sid}", owner.address);
    if let Some(stamp) = stamp(request.uri()) {
        uri.push_str("&t=");
        uri.extend(form_urlencoded::byte_serialize(stamp.as_bytes()));
    }
    let uri: Uri = uri.parse().map_err(|_| Failed::Unreachable)?;
    let pass = relay.key.load().pass(sid);
    let passed = Request::builder().method(request.method()).uri(uri).header(PASS, pass);
    let body = if *request.method() == Method::GET { Body::empty() } else { request.into_body() };
    passed.body(body).map_err(|_| Failed::Unreachable)
}

/// The owner's answer as the client gets it.
pub(super) fn answer_of(answer: Response<Incoming>, body: impl FnOnce(Incoming) -> Body) -> Response<Body> {
    let (mut from, incoming) = answer.into_parts();
    let mut response = Response::new(body(incoming));
    *response.status_mut() = from.status;
    for name in HEADERS {
        if let Some(value) = from.headers.remove(&name) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

type End = Pin<Box<dyn Future<Output = Failed> + Send>>;

/// Completes once the owner is not live any more, or after `limit`.
pub(super) fn end_of(owner: &Peer, limit: Duration) -> End {
    let (gone, until) = (owner.gone.clone(), Instant::now() + limit);
    Box::pin(async move {
        match tokio::time::timeout_at(until, gone.cancelled_owned()).await {
            Ok(()) => Failed::Interrupted,
            Err(_) => Failed::TimedOut,
        }
    })
}

/// The body of the owner's answer.
pub(super) struct Passed {
    pub(super) body: Incoming,
    pub(super) end: End,
    pub(super) _passing: Passing,
}

impl HttpBody for Passed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
        }
        Pin::new(&mut self.body).poll_frame(cx).map_err(io::Error::other)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
