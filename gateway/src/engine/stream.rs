//! A WebSocket's bare stream: what was read too early comes first, and what is read and written is counted.
//!
//! Guarantees: bytes that came with the handshake are read first; a client in no namespace cannot make us read more than
//! [`Wire::may_read`] allows; after [`Wire::abort`] every read and write fails, also one that was waiting.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{sent_frames::SentFrames, wire::Wire};

/// See the module.
pub(super) struct Stream {
    early: Bytes,
    wire: Arc<Wire>,
    sent: SentFrames,
    stream: TcpStream,
}

impl Stream {
    pub(super) fn of(upgraded: Upgraded, wire: Arc<Wire>) -> Option<Self> {
        let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
        // An empty slice would keep the buffer that it is of.
        let early = if parts.read_buf.is_empty() { Bytes::new() } else { parts.read_buf };
        Some(Self { early, wire, sent: SentFrames::default(), stream: parts.io.into_inner() })
    }

    fn read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
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

    fn check(&self) -> io::Result<()> {
        match self.wire.is_aborted() {
            true => Err(io::ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        if self.wire.is_deaf() {
            // Nobody wakes the reader: its task ends with the connection.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = self.read(cx, buf);
        if matches!(read, Poll::Ready(Ok(()))) && !self.wire.may_read(buf.filled().len() - before) {
            tracing::debug!("closing a connection that sent too much before it joined a namespace");
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        match &written {
            Poll::Ready(Ok(count)) => {
                let bytes = &buf[..*count];
                let counted = self.sent.wrote(bytes);
                self.wire.wrote(counted);
                if let Some(writes) = &self.wire.writes {
                    writes.wrote(bytes);
                }
            }
            Poll::Pending if !self.wire.wait_for_abort(cx) => self.check()?,
            Poll::Ready(Err(_)) | Poll::Pending => {}
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
