//! Records and figures that all clients of a run share.

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
    presence::Presence,
    record::{Observation, Room, Sent},
};

/// Figures that clients update.
#[derive(Default)]
pub struct Figures {
    /// Messages that senders wrote.
    pub sent: AtomicU64,
    /// Messages acknowledged.
    pub acked: AtomicU64,
    /// Messages sent again with the same `clientId`, each time counted.
    pub retries: AtomicU64,
    /// Answers `unavailable` to messages.
    pub unavailable: AtomicU64,
    /// Messages sent again on the same connection because no answer came for too long.
    pub unanswered: AtomicU64,
    /// Connections after a client's first.
    pub reconnects: AtomicU64,
    /// Rooms joined at this moment, summed over members.
    pub joined: AtomicU64,
}

/// Everything that clients share.
pub struct Shared {
    begun: Instant,
    /// By room number.
    pub rooms: Vec<Mutex<Room>>,
    /// By sender, by sequence.
    pub sent: Vec<Mutex<Vec<Sent>>>,
    /// Whether senders write new messages.
    pub sending: AtomicBool,
    pub figures: Figures,
    /// Counters of the connections.
    pub counters: Arc<Counters>,
    /// Answers with an error, by event and code.
    pub errors: Mutex<BTreeMap<String, u64>>,
    /// Breaches of PROTOCOL other than loss and order: their number, and the first [`BREACHES`].
    pub breaches: Mutex<(u64, Vec<String>)>,
    /// Times from a message's first sending to its live delivery.
    pub latency: Mutex<Histogram>,
    /// Times from the loss of a member's connection until it is in all its rooms again.
    pub absences: Mutex<Histogram>,
    /// User ids of the members, by number.
    pub users: Vec<String>,
    /// Only if the run checks announcements of absence.
    pub presence: Option<Mutex<Presence>>,
}

const BREACHES: usize = 20;

impl Shared {
    /// For these rooms, that many senders, and members with these user ids.
    pub fn new(rooms: Vec<Room>, senders: usize, users: Vec<String>, checks_presence: bool) -> Arc<Self> {
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
            presence: checks_presence.then(|| Mutex::new(Presence::new(&users))),
            users,
        })
    }

    /// Time since the run began.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Microseconds since the run began.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Milliseconds since the run began.
    pub fn now_ms(&self) -> u32 {
        u32::try_from(self.begun.elapsed().as_millis()).unwrap_or(u32::MAX)
    }

    /// Counts an answer with an error.
    pub fn error(&self, event: &str, code: &str) {
        *self.errors.lock().entry(format!("{event}: {code}")).or_default() += 1;
    }

    /// Counts a breach of PROTOCOL.
    pub fn breach(&self, text: impl FnOnce() -> String) {
        let mut breaches = self.breaches.lock();
        breaches.0 += 1;
        if breaches.1.len() < BREACHES {
            let text = format!("{:.3} s {}", self.elapsed().as_secs_f64(), text());
            breaches.1.push(text);
        }
    }

    /// Returns the latency so far and starts a new histogram.
    pub fn take_latency(&self) -> Histogram {
        std::mem::take(&mut *self.latency.lock())
    }

    /// Messages that are not acknowledged yet.
    pub fn outstanding(&self) -> u64 {
        let acked = self.figures.acked.load(Ordering::Relaxed);
        self.figures.sent.load(Ordering::Relaxed).saturating_sub(acked)
    }

    /// Members that have not seen the newest acknowledged message of a room, as (room, member).
    pub fn behind(&self) -> Vec<(usize, u32)> {
        let mut behind = Vec::new();
        for (number, room) in self.rooms.iter().enumerate() {
            let room = room.lock();
            let ids = room.acked.iter().map(|ack| &room.messages[ack.message as usize].id);
            let Some(newest) = ids.max() else { continue };
            for trace in &room.traces {
                let last = trace.entries.iter().rev().find_map(|entry| match entry.observation {
                    Observation::Page(message) | Observation::Live(message) | Observation::Early(message) => {
                        Some(message)
                    }
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
