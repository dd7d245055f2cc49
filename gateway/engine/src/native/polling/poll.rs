//! Answers polls: with the queue, once there is one; with a NOOP while the client switches to a WebSocket; with CLOSE, and
//! nothing else, at the connection's end: a stock client would handle events in the same answer only after the end, when it
//! is connected again.
//!
//! Guarantees: one poll of a connection at a time, a second one ends the connection; a poll that the client gives up
//! ends it, too, and so does one that repeats the one before: the packets in the answer may be lost.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll as Ready},
};

use axum::{
    body::Body,
    http::{
        HeaderValue, Response,
        header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE},
    },
};

use super::{Kind, payload};
use crate::{
    CloseReason,
    answer::{self, Recipient},
    failure::Failure,
    native::wire::{NORMAL, Phase, Wire},
};

/// The type of a NOOP packet.
const NOOP: u8 = b'6';
/// The type of a CLOSE packet.
const CLOSE: u8 = b'1';

/// The right to answer a connection's poll. Dropped early, it ends the connection.
struct Poll {
    wire: Arc<Wire>,
    /// Packets were taken from the queue.
    holds: bool,
    /// The connection ends with the answer.
    last: bool,
    finished: bool,
}

/// Why a poll is not answered with the queue.
enum Refused {
    /// Another one is being answered, or hangs.
    Second,
    /// It repeats the one before.
    Repeated,
}

/// The answer to a poll.
struct Payload {
    bytes: Vec<u8>,
    /// Bytes of the queue in it.
    counted: usize,
}

/// Answers the poll once there is something to answer.
pub(in crate::native) async fn answer(wire: Arc<Wire>, stamp: Option<Box<str>>) -> Response<Body> {
    let mut poll = match Poll::begin(&wire, stamp) {
        Ok(poll) => poll,
        Err(Refused::Second) => {
            wire.close(CloseReason::ProtocolError, NORMAL);
            return Failure::BadRequest.response();
        }
        Err(Refused::Repeated) => {
            wire.end(CloseReason::TransportError);
            return Failure::UnknownSession.response();
        }
    };
    let payload = poll_fn(|cx| poll.take(cx)).await;
    let length = payload.bytes.len();
    text(answer::answer(payload.bytes.into(), payload.counted as u64, poll), length)
}

/// A successful answer.
pub(super) fn text(body: Body, length: usize) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    // The compression of long answers depends on it.
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Poll {
    fn begin(wire: &Arc<Wire>, stamp: Option<Box<str>>) -> Result<Self, Refused> {
        let mut state = wire.state();
        // Without it, the connection has just ended or switched: a NOOP is the answer.
        if let Some(polling) = &mut state.polling {
            if polling.is_repeated(Kind::Poll, stamp) {
                return Err(Refused::Repeated);
            }
            if std::mem::replace(&mut polling.polled, true) {
                return Err(Refused::Second);
            }
        }
        drop(state);
        Ok(Self { wire: Arc::clone(wire), holds: false, last: false, finished: false })
    }

    fn take(&mut self, cx: &Context<'_>) -> Ready<Payload> {
        let mut state = self.wire.state();
        let state = &mut *state;
        let mut payload = Payload { bytes: Vec::new(), counted: state.queue.bytes() };
        let is_closing = state.phase() == Phase::Closing;
        let Some(polling) = &mut state.polling else {
            return Ready::Ready(Payload { bytes: vec![NOOP], counted: 0 });
        };
        self.holds = !state.queue.is_empty();
        self.last = is_closing && !self.holds;
        while let Some(frame) = state.queue.pop() {
            payload::append(&mut payload.bytes, &frame);
        }
        if self.last {
            payload::append_type(&mut payload.bytes, CLOSE);
        } else if payload.bytes.is_empty() {
            if !polling.upgrade.ends_polls() && !std::mem::take(&mut polling.released) {
                polling.waker = Some(cx.waker().clone());
                return Ready::Pending;
            }
            payload.bytes.push(NOOP);
        }
        polling.answering = payload.counted;
        Ready::Ready(payload)
    }
}

impl Recipient for Poll {
    fn is_aborted(&self) -> bool {
        self.wire.is_aborted()
    }

    fn wrote(&self, bytes: u64) {
        self.wire.state().answered(bytes);
    }

    fn finished(&mut self) {
        self.finished = true;
        if self.last {
            return self.wire.end(CloseReason::ClientClosed);
        }
        if let Some(polling) = &mut self.wire.state().polling {
            (polling.polled, polling.released) = (false, false);
        }
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        // After a switch to a WebSocket, a poll that holds nothing is of no importance.
        if !self.finished && (self.holds || self.wire.is_polling()) {
            self.wire.abort(CloseReason::TransportError);
        }
    }
}
