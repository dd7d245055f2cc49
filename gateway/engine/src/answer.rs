//! The answer to a poll, passed to HTTP in pieces, so that bytes that the client has not read still count as waiting.
//!
//! An engine puts the waiting packets into one payload. HTTP would take the whole payload into its buffer, where a
//! client that reads a few bytes a second could keep it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// Bytes that are passed to HTTP at once.
pub(crate) const PIECE: usize = 16 * 1024;

/// The connection that the answer belongs to. Dropped early if the client aborts its poll.
pub(crate) trait Recipient: Send + Unpin + 'static {
    /// The connection was aborted: nothing more is sent.
    fn is_aborted(&self) -> bool;

    /// These counted bytes were passed to HTTP, or lost with an aborted poll.
    fn wrote(&self, bytes: u64);

    /// The whole payload was passed to HTTP.
    fn finished(&mut self);
}

struct Answer<R: Recipient> {
    left: Bytes,
    /// Bytes that are not counted as written yet.
    counted: u64,
    recipient: R,
}

/// A payload as a body; `counted` of its bytes count as waiting.
pub(crate) fn answer(payload: Bytes, counted: u64, recipient: impl Recipient) -> Body {
    Body::new(Answer { left: payload, counted, recipient })
}

impl<R: Recipient> HttpBody for Answer<R> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.recipient.is_aborted() {
            return Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())));
        }
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let count = self.left.len().min(PIECE);
        let piece = self.left.split_to(count);
        let counted = match self.left.is_empty() {
            true => self.counted,
            false => self.counted.min(count as u64),
        };
        self.counted -= counted;
        self.recipient.wrote(counted);
        if self.left.is_empty() {
            self.recipient.finished();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}

impl<R: Recipient> Drop for Answer<R> {
    /// A client that aborts its poll loses the rest, which then no longer counts as waiting.
    fn drop(&mut self) {
        self.recipient.wrote(self.counted);
    }
}
