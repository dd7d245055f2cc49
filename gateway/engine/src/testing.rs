//! An engine without a transport: a client in the same process sends packets, and reads the frames that it was sent.
//!
//! For tests of everything above the engine, also on paused time: nothing here waits. Deliberately has no pings and no
//! encoding of its own: the real engines have them, and their tests.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{Accept, CloseReason, Frame, Full, Handshake, Inbound, Outbox, Permit, Session, Transport};

/// A connection's queue, which its [`TestClient`] reads.
#[derive(Clone)]
pub struct TestOutbox(Arc<State>);

struct State {
    queue: Mutex<Queue>,
    changed: Notify,
}

#[derive(Default)]
struct Queue {
    frames: Vec<Frame>,
    /// Frames that still fit; `None` for any number.
    room: Option<usize>,
    admitted: bool,
    closed: Option<CloseReason>,
    /// The end was reported to the session.
    reported: bool,
    session: Option<Weak<dyn Session>>,
}

/// A client of this engine.
pub struct TestClient {
    outbox: TestOutbox,
    session: Arc<dyn Session>,
}

impl TestClient {
    /// Connects to `accept`, with this token in the handshake.
    pub fn connect<P: Permit>(accept: &dyn Accept<P>, token: Option<&str>, permit: Option<P>) -> Self {
        let outbox = TestOutbox::new();
        let handshake = Handshake {
            transport: Some(Transport::WebSocket),
            is_version_4: true,
            sid: None,
            token: token.map(Into::into),
        };
        let session = accept.open(handshake, permit, Outbox::Test(outbox.clone()));
        outbox.0.queue.lock().session = Some(Arc::downgrade(&session));
        Self { outbox, session }
    }

    /// Sends a packet.
    pub fn send(&self, packet: &Inbound<&str>) {
        if self.outbox.closed().is_none() {
            let bytes = packet.bytes();
            Arc::clone(&self.session).receive(packet, bytes);
        }
    }

    /// The frames that it was sent, and whether it was closed.
    #[must_use]
    pub fn outbox(&self) -> &TestOutbox {
        &self.outbox
    }

    /// Waits until a frame arrives or the connection ends. Returns at once if one of them has happened.
    pub async fn changed(&self) {
        loop {
            let changed = self.outbox.0.changed.notified();
            {
                let queue = self.outbox.0.queue.lock();
                if !queue.frames.is_empty() || queue.closed.is_some() {
                    return;
                }
            }
            changed.await;
        }
    }

    /// Breaks the transport, as a lost network would.
    pub fn cut(&self) {
        self.outbox.0.close(CloseReason::TransportError);
    }
}

impl Drop for TestClient {
    fn drop(&mut self) {
        self.outbox.0.close(CloseReason::ClientClosed);
    }
}

impl Default for TestOutbox {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn close(&self, reason: CloseReason) {
        let (reason, session) = {
            let mut queue = self.queue.lock();
            let reason = *queue.closed.get_or_insert(reason);
            let first = !std::mem::replace(&mut queue.reported, true);
            (reason, queue.session.clone().filter(|_| first))
        };
        self.changed.notify_waiters();
        if let Some(session) = session.and_then(|session| session.upgrade()) {
            session.closed(reason);
        }
    }
}

impl TestOutbox {
    /// A queue without a session.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(State { queue: Mutex::default(), changed: Notify::new() }))
    }

    /// Takes the frames that were sent so far.
    #[must_use]
    pub fn take(&self) -> Vec<Frame> {
        std::mem::take(&mut self.0.queue.lock().frames)
    }

    /// Stops reading: `room` more frames fit into the queue.
    pub fn stall(&self, room: usize) {
        self.0.queue.lock().room = Some(room);
    }

    /// Why the connection ended, if it has.
    #[must_use]
    pub fn closed(&self) -> Option<CloseReason> {
        self.0.queue.lock().closed
    }

    pub(crate) fn send(&self, frame: &Frame) -> Result<(), Full> {
        let mut queue = self.0.queue.lock();
        if queue.closed.is_some() {
            return Ok(());
        }
        if let Some(room) = &mut queue.room {
            *room = room.checked_sub(1).ok_or(Full)?;
        }
        queue.frames.push(frame.clone());
        drop(queue);
        self.0.changed.notify_waiters();
        Ok(())
    }

    pub(crate) fn waiting(&self) -> u64 {
        let queue = self.0.queue.lock();
        match queue.room {
            Some(_) => queue.frames.iter().map(|frame| frame.bytes() as u64).sum(),
            None => 0,
        }
    }

    pub(crate) fn admitted(&self) {
        self.0.queue.lock().admitted = true;
    }

    pub(crate) fn is_admitted(&self) -> bool {
        self.0.queue.lock().admitted
    }

    /// Unlike with a real transport, the end is reported before this returns.
    pub(crate) fn close(&self, reason: CloseReason) {
        self.0.close(reason);
    }
}
