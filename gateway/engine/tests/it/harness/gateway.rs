//! The gateway behind the engine: records what the engine reports of each connection.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use jackfield_engine::{Accept, CloseReason, Handshake, Inbound, Outbox, Packet, Session};
use parking_lot::Mutex;

use super::until;

/// A call of the engine, with the bytes that it counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    Packet(Packet, usize),
    Part(usize),
    Closed(CloseReason),
}

impl Call {
    /// Whether it is an acknowledgement of so many bytes.
    pub fn is_ack(&self, bytes: usize) -> bool {
        matches!(self, Self::Packet(Inbound::Ack { .. }, counted) if *counted == bytes)
    }
}

/// Runs when a session has recorded a packet.
pub type Reaction = fn(&Recorder, &Inbound<&str>);

/// A promise that concerns every case, and the call that broke it.
pub type Fault = (&'static str, Call);

/// Accepts every connection.
pub struct Gateway {
    pub opened: Mutex<VecDeque<Arc<Recorder>>>,
    pub reaction: Reaction,
    pub faults: Arc<Mutex<Vec<Fault>>>,
}

/// A permit of admission, counted until it is dropped.
pub struct Permit(Arc<AtomicUsize>);

impl Gateway {
    pub fn new(reaction: Reaction) -> Self {
        Self { opened: Mutex::default(), reaction, faults: Arc::default() }
    }
}

impl Permit {
    pub fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(count))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One connection.
pub struct Recorder {
    pub outbox: Outbox,
    pub handshake: Handshake,
    pub has_permit: bool,
    calls: Mutex<Vec<Call>>,
    /// Calls that the test has taken.
    taken: AtomicUsize,
    is_called: AtomicBool,
    reaction: Reaction,
    faults: Arc<Mutex<Vec<Fault>>>,
}

impl Accept<Permit> for Gateway {
    fn open(&self, handshake: Handshake, permit: Option<Permit>, outbox: Outbox) -> Arc<dyn Session> {
        let recorder = Arc::new(Recorder {
            outbox,
            handshake,
            has_permit: permit.is_some(),
            calls: Mutex::default(),
            taken: AtomicUsize::new(0),
            is_called: AtomicBool::new(false),
            reaction: self.reaction,
            faults: Arc::clone(&self.faults),
        });
        self.opened.lock().push_back(Arc::clone(&recorder));
        recorder
    }
}

impl Recorder {
    /// The next call that the test has not taken.
    pub async fn next(&self) -> Call {
        let next = || self.calls.lock().get(self.taken.load(Ordering::Acquire)).cloned();
        let call = until("a call of the engine", next).await;
        self.taken.fetch_add(1, Ordering::AcqRel);
        call
    }

    /// The JSON of the next call, which must be an event of the main namespace without binary parts.
    pub async fn event(&self) -> String {
        match self.next().await {
            Call::Packet(Inbound::Event { namespace, content, ack: None, parts: None }, _) if &*namespace == "/" => {
                content.into()
            }
            other => panic!("{other:?}"),
        }
    }

    /// Why the connection ended; waits until it has.
    pub async fn closed(&self) -> CloseReason {
        let reason = || {
            self.calls.lock().iter().find_map(|call| match call {
                Call::Closed(reason) => Some(*reason),
                _ => None,
            })
        };
        until("the end of the connection", reason).await
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().clone()
    }

    pub fn is_closed(&self) -> bool {
        self.calls.lock().iter().any(|call| matches!(call, Call::Closed(_)))
    }

    /// Waits until everything that was queued was written.
    pub async fn flushed(&self) {
        until("the queue is empty", || (self.outbox.waiting() == 0).then_some(())).await;
    }

    /// Waits until the engine has dropped its references to the session.
    pub async fn is_released(self: &Arc<Self>) {
        until("the session is released", || (Arc::strong_count(self) == 1).then_some(())).await;
    }

    fn record(&self, call: Call) {
        let is_end = |call: &Call| matches!(call, Call::Closed(_));
        let mut calls = self.calls.lock();
        if calls.iter().any(is_end) {
            self.faults.lock().push(("no call after `closed`", call.clone()));
        } else if !is_end(&call) && self.is_called.swap(true, Ordering::AcqRel) {
            self.faults.lock().push(("one call at a time", call.clone()));
        }
        calls.push(call);
    }

    fn done(&self) {
        self.is_called.store(false, Ordering::Release);
    }
}

impl Session for Recorder {
    fn receive(self: Arc<Self>, packet: &Inbound<&str>, bytes: usize) {
        self.record(Call::Packet(packet.to_packet(), bytes));
        (self.reaction)(&self, packet);
        self.done();
    }

    fn receive_part(self: Arc<Self>, bytes: usize) {
        self.record(Call::Part(bytes));
        self.done();
    }

    fn closed(self: Arc<Self>, reason: CloseReason) {
        self.record(Call::Closed(reason));
    }
}
