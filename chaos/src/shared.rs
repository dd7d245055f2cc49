//! Records and figures that all clients of a run share.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

use super::{
    presence::Presence,
    record::{Room, Sent},
};

/// Figures that clients update; the report has most of them.
#[derive(Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Messages that senders wrote.
    pub sent: u64,
    /// Messages acknowledged.
    pub acked: u64,
    /// Connections after a client's first.
    pub reconnects: u64,
    /// Reconnects of clients that were recovered.
    pub recovered: u64,
    /// Handshakes that were refused, failed or took too long.
    pub failed_handshakes: u64,
    /// Connections whose server was silent for too long.
    pub silent_servers: u64,
    /// Messages sent again with the same `clientId`, each time counted.
    pub retries: u64,
    /// Answers `unavailable` to messages.
    pub unavailable: u64,
    /// Messages sent again on the same connection because no answer came for too long.
    pub unanswered: u64,
    /// Rooms joined at this moment, summed over members.
    #[serde(skip)]
    pub joined: usize,
    /// Connections dropped by [`Command::Unplug`](super::client::Command::Unplug).
    #[serde(skip)]
    pub unplugged: u64,
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
    pub figures: Arc<Mutex<Figures>>,
    /// Answers with an error, by event and code.
    pub errors: Mutex<BTreeMap<String, u64>>,
    /// Breaches of PROTOCOL other than loss and order: their number, and the first [`BREACHES`].
    pub breaches: Mutex<(u64, Vec<String>)>,
    /// Times from a message's first sending to its live delivery.
    pub latency: Mutex<Vec<Duration>>,
    /// Times from the loss of a member's connection until it is in all its rooms again.
    pub absences: Mutex<Vec<Duration>>,
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
            figures: Arc::default(),
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

    /// Takes the latencies so far out.
    pub fn take_latency(&self) -> Vec<Duration> {
        std::mem::take(&mut *self.latency.lock())
    }

    /// Messages that are not acknowledged yet.
    pub fn outstanding(&self) -> u64 {
        let figures = self.figures.lock();
        figures.sent.saturating_sub(figures.acked)
    }

    /// Members that have not seen the newest acknowledged message of a room, as (room, member).
    pub fn behind(&self) -> Vec<(usize, u32)> {
        let mut behind = Vec::new();
        for (number, room) in self.rooms.iter().enumerate() {
            let room = room.lock();
            let ids = room.acked.iter().map(|ack| &room.messages[ack.message as usize].id);
            let Some(newest) = ids.max() else { continue };
            for trace in &room.traces {
                let last = trace.entries.iter().rev().find_map(|entry| entry.observation.message());
                if last.is_none_or(|last| room.messages[last as usize].id < *newest) {
                    behind.push((number, trace.member));
                }
            }
        }
        behind
    }
}
