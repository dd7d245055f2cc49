//! When a frame is written to its socket: the last span of a trace.
//!
//! The library takes frames out of a socket's queue and writes them in a task of its own, and does not say when. What it
//! writes goes through our [stream](super::stream), which looks there for the frames that are awaited. Of
//! all who are sent a frame one is looked at: in rooms, feeds and namespaces who comes last. Deliberately knows WebSockets
//! only, since a polling client comes when it likes, and does nothing at all where nothing is recorded.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
};

use jackfield_shared::trace::{self, Span, SpanKind};
use memchr::memmem;
use parking_lot::Mutex;

use super::{Frame, Outbox};

/// So much of a frame is looked for. A message's id stands within it, so that no other is taken for it.
const HEAD: usize = 96;
/// Frames of one socket that are awaited at the same time.
const AWAITED: usize = 16;
/// Sockets that are asked whether they have a WebSocket.
const ASKED: usize = 16;

/// One socket's awaited frames.
#[derive(Default)]
pub(super) struct Writes {
    any: AtomicBool,
    awaited: Mutex<VecDeque<(Frame, Span)>>,
}

/// Records, as a part of the present span, the time until `frame` is written to one of these sockets: the first that has
/// a WebSocket. Call it before the frame is sent to any.
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
        // Who is this far behind is not waited for.
        if awaited.len() == AWAITED {
            awaited.pop_front();
        }
        awaited.push_back((frame.clone(), span));
        self.any.store(true, Ordering::Release);
    }

    /// These bytes went to the socket. A frame whose head is torn in two by the kernel's buffer is not found, and its span
    /// ends with one of a later frame, or with the socket.
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
