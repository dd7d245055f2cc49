//! Records when a frame is written to its socket: the last span of a trace.
//!
//! The library takes frames out of a socket's queue, writes them in a task of its own, and does not report when. Its
//! writes go through our [stream](super::stream), which searches them for awaited frames. Only one recipient of a frame
//! is sampled: in rooms, feeds and namespaces the last one with a WebSocket. Deliberately covers WebSockets only,
//! because a polling client fetches frames when it likes, and does nothing if no trace is recorded.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
};

use jackfield_shared::trace::{self, Span, SpanKind};
use memchr::memmem;
use parking_lot::Mutex;

use super::{Frame, Outbox};

/// Bytes of a frame's head that are searched for. A room message's id stands within them, so no other is taken for it.
const HEAD: usize = 96;
/// Frames of one socket that are awaited at the same time.
const AWAITED: usize = 16;
/// Recipients that are checked for a WebSocket.
const ASKED: usize = 16;

/// One socket's awaited frames.
#[derive(Default)]
pub(super) struct Writes {
    any: AtomicBool,
    awaited: Mutex<VecDeque<(Frame, Span)>>,
}

/// Records, as a child of the current span, the time until `frame` is written to the first of these sockets that has a
/// WebSocket, among the first 16. Call it before the frame is sent to any.
pub fn record_write<'a>(frame: &Frame, sockets: impl Iterator<Item = &'a Outbox>) {
    if trace::is_within()
        && let Some(writes) = sockets.take(ASKED).find_map(Outbox::writes)
        && let Some(span) = Span::child("socket write", SpanKind::Internal)
    {
        writes.expect(frame, span);
    }
}

impl Writes {
    fn expect(&self, frame: &Frame, span: Span) {
        let mut awaited = self.awaited.lock();
        // The socket is this far behind: stop waiting for its oldest frame.
        if awaited.len() == AWAITED {
            awaited.pop_front();
        }
        awaited.push_back((frame.clone(), span));
        self.any.store(true, Ordering::Release);
    }

    /// Ends the spans of awaited frames that these written bytes contain. A frame whose head is split between two
    /// writes is not found: its span ends with that of a later frame, or with the socket.
    pub(super) fn wrote(&self, bytes: &[u8]) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let mut awaited = self.awaited.lock();
        let found = |(frame, _): &(Frame, Span)| {
            let text = frame.as_bytes();
            memmem::find(bytes, &text[..text.len().min(HEAD)]).is_some()
        };
        if let Some(last) = awaited.iter().rposition(found) {
            awaited.drain(..=last);
        }
        self.any.store(!awaited.is_empty(), Ordering::Release);
    }
}
