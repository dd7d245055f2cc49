//! The answer to a poll, passed to HTTP in pieces, so that bytes that the client has not read still count as waiting.
//!
//! The library puts the waiting packets into one payload. HTTP would take the whole payload into its buffer, where a
//! client that reads a few bytes a second could keep it.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::wire::{Claim, Wire};

/// Bytes that are passed to HTTP at once.
const PIECE: usize = 16 * 1024;
/// Separates two packets of a payload.
const SEPARATOR: u8 = 0x1e;

/// See the module.
struct Answer {
    left: Bytes,
    /// Message bytes of the payload that are not counted as written yet.
    messages: u64,
    wire: Arc<Wire>,
    /// Held until the last piece is passed on: the client cannot poll again before that.
    claim: Option<Claim>,
}

/// A payload as the body of the answer that `claim` is for.
pub(super) fn answer(payload: Bytes, wire: &Arc<Wire>, claim: Claim) -> Body {
    let messages = message_bytes(&payload);
    Body::new(Answer { left: payload, messages, wire: Arc::clone(wire), claim: Some(claim) })
}

/// The bytes of a payload that [`super::OxideOutbox`] counted.
fn message_bytes(payload: &[u8]) -> u64 {
    let packets = payload.split(|byte| *byte == SEPARATOR);
    let bytes = packets.map(|packet| match packet.split_first() {
        Some((b'4', text)) => text.len(),
        Some((b'b', base64)) => {
            let padding = base64.iter().rev().take_while(|byte| **byte == b'=').count();
            base64.len() / 4 * 3 - padding.min(base64.len() / 4 * 3)
        }
        _ => 0,
    });
    bytes.sum::<usize>() as u64
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.wire.is_aborted() {
            return Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())));
        }
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let count = self.left.len().min(PIECE);
        let piece = self.left.split_to(count);
        let messages = match self.left.is_empty() {
            true => self.messages,
            false => self.messages.min(count as u64),
        };
        self.messages -= messages;
        self.wire.wrote(messages);
        if self.left.is_empty() {
            self.claim = None;
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

impl Drop for Answer {
    /// A client that aborts its poll loses the rest, which then no longer counts as waiting.
    fn drop(&mut self) {
        self.wire.wrote(self.messages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oxide::{stragglers::Stragglers, wire::WireLimits};
    use http_body_util::BodyExt as _;

    #[test]
    fn only_messages_are_counted() {
        assert_eq!(message_bytes(b"2\x1e42[\"a\"]\x1ebAQID\x1ebAQI=\x1e6"), 6 + 3 + 2);
        assert_eq!(message_bytes(b""), 0);
    }

    #[tokio::test]
    async fn pieces_count_as_written_and_the_claim_ends_with_the_last_one() {
        let limits = WireLimits { queue_bytes: 1, stragglers: Stragglers::default() };
        let wire = Wire::new(Arc::new(limits));
        let payload = Bytes::from([b"4".to_vec(), vec![b'x'; 3 * PIECE]].concat());
        wire.queued(3 * PIECE as u64);
        let mut body = answer(payload.clone(), &wire, wire.begin_answer().unwrap());
        body.frame().await.unwrap().unwrap();
        assert_eq!(wire.waiting(), 2 * PIECE as u64);
        assert!(wire.begin_answer().is_none());
        while !body.is_end_stream() {
            body.frame().await.unwrap().unwrap();
        }
        assert!(wire.waiting() == 0 && wire.begin_answer().is_some());
        wire.queued(3 * PIECE as u64);
        drop(answer(payload, &wire, wire.begin_answer().unwrap()));
        assert!(wire.waiting() == 0 && wire.begin_answer().is_some());
    }
}
