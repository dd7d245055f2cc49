//! Answers polls with the library's payloads.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;

use super::wire::{Claim, Wire};
use crate::answer::{self, Recipient};

/// Separates two packets of a payload.
const SEPARATOR: u8 = 0x1e;

struct Poll {
    wire: Arc<Wire>,
    /// Held until the last piece is passed on: the client cannot poll again before that.
    claim: Option<Claim>,
}

impl Recipient for Poll {
    fn is_aborted(&self) -> bool {
        self.wire.is_aborted()
    }

    fn wrote(&self, bytes: u64) {
        self.wire.wrote(bytes);
    }

    fn finished(&mut self) {
        self.claim = None;
    }
}

/// A payload as the body of the answer that `claim` is for.
pub(super) fn answer(payload: Bytes, wire: &Arc<Wire>, claim: Claim) -> Body {
    let messages = message_bytes(&payload);
    answer::answer(payload, messages, Poll { wire: Arc::clone(wire), claim: Some(claim) })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{answer::PIECE, oxide::wire::WireLimits, stragglers::Stragglers};
    use http_body_util::BodyExt as _;
    use hyper::body::Body as _;

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
