//! What the clients of a run write down together.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    client::Counters,
    histogram::Histogram,
    record::{Room, Sent, What},
};

/// Figures that clients count up.
#[derive(Default)]
pub struct Figures {
    /// Messages that senders wrote.
    pub sent: AtomicU64,
    /// Of these, acknowledged.
    pub acked: AtomicU64,
    /// Sent again with the same `clientId`.
    pub retries: AtomicU64,
    /// Messages answered `unavailable`.
    pub unavailable: AtomicU64,
    /// Messages without an answer for so long that they were sent again on the same connection.
    pub unanswered: AtomicU64,
    /// Connections after a client's first.
    pub reconnects: AtomicU64,
    /// Rooms that members are in, at this moment.
    pub joined: AtomicU64,
}

/// Everything.
pub struct Shared {
    begun: Instant,
    /// By number.
    pub rooms: Vec<Mutex<Room>>,
    /// By sender, by sequence.
    pub sent: Vec<Mutex<Vec<Sent>>>,
    /// Whether senders write new messages.
    pub sending: AtomicBool,
    /// Counted.
    pub figures: Figures,
    /// Of the connections.
    pub counters: Arc<Counters>,
    /// Answers with an error, by event and code.
    pub errors: Mutex<BTreeMap<String, u64>>,
    /// What breaks PROTOCOL apart from loss and order: how often, and the first few.
    pub breaches: Mutex<(u64, Vec<String>)>,
    /// From a message's first sending to its live delivery.
    pub latency: Mutex<Histogram>,
    /// From the loss of a member's connection until it is in all its rooms again.
    pub absences: Mutex<Histogram>,
}

const BREACHES: usize = 20;

impl Shared {
    /// For these rooms and so many senders.
    pub fn new(rooms: Vec<Room>, senders: usize) -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            rooms: rooms.into_iter().map(Mutex::new).collect(),
            sent: (0..senders).map(|_| Mutex::default()).collect(),
            sending: AtomicBool::new(false),
            figures: Figures::default(),
            counters: Arc::default(),
            errors: Mutex::default(),
            breaches: Mutex::default(),
            latency: Mutex::default(),
            absences: Mutex::default(),
        })
    }

    /// Since the run began.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// The same in microseconds.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The same in milliseconds.
    pub fn now_ms(&self) -> u32 {
        u32::try_from(self.begun.elapsed().as_millis()).unwrap_or(u32::MAX)
    }

    /// One more answer with an error.
    pub fn error(&self, event: &str, code: &str) {
        *self.errors.lock().entry(format!("{event}: {code}")).or_default() += 1;
    }

    /// Something that PROTOCOL does not allow.
    pub fn breach(&self, what: impl FnOnce() -> String) {
        let mut breaches = self.breaches.lock();
        breaches.0 += 1;
        if breaches.1.len() < BREACHES {
            let text = format!("{:.3} s {}", self.elapsed().as_secs_f64(), what());
            breaches.1.push(text);
        }
    }

    /// The latency so far; it is counted anew from here.
    pub fn take_latency(&self) -> Histogram {
        std::mem::take(&mut *self.latency.lock())
    }

    /// Messages that are not acknowledged yet.
    pub fn outstanding(&self) -> u64 {
        let acked = self.figures.acked.load(Ordering::Relaxed);
        self.figures.sent.load(Ordering::Relaxed).saturating_sub(acked)
    }

    /// Members that have not seen the newest acknowledged message of their room, as rooms and members.
    pub fn behind(&self) -> Vec<(usize, u32)> {
        let mut behind = Vec::new();
        for (number, room) in self.rooms.iter().enumerate() {
            let room = room.lock();
            let ids = room.acked.iter().map(|ack| &room.messages[ack.message as usize].id);
            let Some(newest) = ids.max() else { continue };
            for trace in &room.traces {
                let last = trace.entries.iter().rev().find_map(|entry| match entry.what {
                    What::Page(message) | What::Live(message) | What::Early(message) => Some(message),
                    _ => None,
                });
                if last.is_none_or(|last| room.messages[last as usize].id < *newest) {
                    behind.push((number, trace.member));
                }
            }
        }
        behind
    }
}
