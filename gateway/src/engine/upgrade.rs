//! A WebSocket's beginning: the handshake's answer, and the bare stream behind it.
//!
//! HTTP's own view of an upgraded connection is a boxed stream with a buffer; what a WebSocket needs for its whole life
//! is the socket. Guarantees: bytes that came with the handshake are read first.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    http::{
        HeaderValue, Method, Request, Response, StatusCode,
        header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE},
        request::Parts,
    },
};
use bytes::{Buf as _, Bytes};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use jackfield_shared::lifecycle::Lifecycle;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tungstenite::handshake::derive_accept_key;

use super::{
    request::{has, own},
    writes::Writes,
};

/// Between the handshake's answer and the stream that it frees.
const UPGRADE_WITHIN: Duration = Duration::from_secs(10);

/// Whether a request begins a WebSocket that can be answered here.
pub(super) fn is_websocket(request: &Parts) -> bool {
    request.method == Method::GET
        && has(request, "EIO=4")
        && has(request, "transport=websocket")
        && request.headers.contains_key(SEC_WEBSOCKET_KEY)
}

/// Answers the handshake; `begin` gets the stream and what the engine is to see of the request.
pub(super) fn accept(
    request: Request<Body>,
    lifecycle: &Lifecycle,
    writes: Option<Arc<Writes>>,
    begin: impl FnOnce(EarlyStream, Request<()>) + Send + 'static,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let engine_request = own(&parts, ());
    let key = parts.headers.get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes())).unwrap_or_default();
    let upgrade = hyper::upgrade::on(Request::from_parts(parts, body));
    lifecycle.spawn(async move {
        if let Ok(Ok(upgraded)) = tokio::time::timeout(UPGRADE_WITHIN, upgrade).await
            && let Some(stream) = EarlyStream::of(upgraded, writes)
        {
            begin(stream, engine_request);
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    // Base64 is always a valid value.
    headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::try_from(key).unwrap_or(HeaderValue::from_static("")));
    response
}

/// A socket, what was read of it too early, and who looks at what is written.
pub(super) struct EarlyStream {
    early: Bytes,
    writes: Option<Arc<Writes>>,
    stream: TcpStream,
}

impl EarlyStream {
    fn of(upgraded: Upgraded, writes: Option<Arc<Writes>>) -> Option<Self> {
        let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
        // An empty slice would keep the buffer that it is of.
        let early = if parts.read_buf.is_empty() { Bytes::new() } else { parts.read_buf };
        Some(Self { early, writes, stream: parts.io.into_inner() })
    }
}

impl AsyncRead for EarlyStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = self.early.len().min(buf.remaining());
        buf.put_slice(&self.early[..count]);
        self.early.advance(count);
        if self.early.is_empty() {
            self.early = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for EarlyStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let (Some(writes), Poll::Ready(Ok(count))) = (&self.writes, &written) {
            writes.wrote(&buf[..*count]);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
