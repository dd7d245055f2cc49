//! A WebSocket's raw stream: counts reads and writes, and reads ahead.
//!
//! The library reads with a small buffer, because every idle socket has one. While a client sends more than that buffer
//! holds, this stream reads [`AHEAD`] bytes at once and passes them on in pieces: a message of 64 KiB costs 5 system
//! calls, not 256.
//!
//! Guarantees: bytes that arrived with the handshake are read first; no more than [`Allowance::may_read`](crate::allowance::Allowance::may_read) is read from a
//! client that no namespace has admitted; after [`Wire::abort`] every read and write fails, also a waiting write.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_util::io::poll_read_buf;

use super::{sent_frames::SentFrames, wire::Wire};

/// Bytes that are read at once from a client that sends many.
const AHEAD: usize = 16 * 1024;

/// See the module.
pub(super) struct Stream {
    /// Bytes that were read ahead and not passed on yet.
    early: Bytes,
    /// The last read was full: there is probably more.
    is_busy: bool,
    wire: Arc<Wire>,
    sent: SentFrames,
    stream: TcpStream,
}

impl Stream {
    pub(super) fn new(stream: TcpStream, early: Bytes, wire: Arc<Wire>) -> Self {
        Self { early, is_busy: false, wire, sent: SentFrames::default(), stream }
    }

    fn read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            if !(self.is_busy && self.wire.allowance.is_admitted()) {
                let read = Pin::new(&mut self.stream).poll_read(cx, buf);
                self.is_busy = buf.remaining() == 0;
                return read;
            }
            ready!(self.read_ahead(cx))?;
        }
        let count = self.early.len().min(buf.remaining());
        buf.put_slice(&self.early[..count]);
        self.early.advance(count);
        if self.early.is_empty() {
            self.early = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }

    fn read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut ahead = BytesMut::with_capacity(AHEAD);
        let read = ready!(poll_read_buf(Pin::new(&mut self.stream), cx, &mut ahead));
        self.is_busy = ahead.len() == ahead.capacity();
        self.early = ahead.freeze();
        Poll::Ready(read.map(drop))
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
        if self.wire.is_reading_stopped() {
            // Nothing wakes the reader again: its task ends with the connection.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = self.read(cx, buf);
        if matches!(read, Poll::Ready(Ok(()))) && !self.wire.allowance.may_read(buf.filled().len() - before) {
            tracing::debug!("closing a connection: the client sent too many bytes before it joined a namespace");
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
                let counted = self.sent.wrote(&buf[..*count]);
                self.wire.wrote(counted);
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
