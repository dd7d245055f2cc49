//! A small client of the stock protocol: websocket only, text only, one namespace.
//!
//! It does what the stock client does: answers pings and gives a silent server up; comes back by itself, to any of the
//! nodes, when a handshake fails or the transport closes; never comes back after CONNECT_ERROR or DISCONNECT. What it does
//! on the connection is its [`Behaviour`]'s, called in the client's own task: nothing is queued but what is written.
//! It has no polling, no binary and no compression.

mod connection;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::Serialize;
use tokio::sync::mpsc;

use super::packet::Writer;
use connection::{Connection, Ended};

/// What a client does with what it hears. Everything it wants said goes into the [`Outbox`].
pub trait Behaviour: Send {
    /// The namespace is joined: a new connection, on that node.
    fn connected(&mut self, node: usize, outbox: &mut Outbox);
    /// An event; `data` is its whole array.
    fn event(&mut self, name: &str, data: &str, outbox: &mut Outbox);
    /// The answer to what [`Outbox::emit`] gave this number for, on this connection.
    fn ack(&mut self, number: u32, data: &str, outbox: &mut Outbox);
    /// Some time has passed: [`Behaviour::pace`].
    fn tick(&mut self, outbox: &mut Outbox);
    /// How often it wants to know.
    fn pace(&self) -> Duration;
    /// The transport is gone; whatever was not answered will not be.
    fn disconnected(&mut self);
    /// CONNECT_ERROR or DISCONNECT: it is over.
    fn sent_away(&mut self, why: &str);
}

/// Frames to be written, bounded.
pub struct Outbox {
    writer: Writer,
    frames: VecDeque<String>,
    next_ack: u32,
}

/// Frames that may wait. They are written after each call of a behaviour, so this is for one call.
const OUTBOX: usize = 1_024;

impl Outbox {
    /// For that namespace.
    pub fn new(namespace: &str) -> Self {
        Self { writer: Writer::new(namespace), frames: VecDeque::new(), next_ack: 0 }
    }

    /// Sends an event and asks for an ack; gives its number, or nothing where too much is waiting already.
    pub fn emit(&mut self, name: &str, payload: &impl Serialize) -> Option<u32> {
        if self.frames.len() >= OUTBOX {
            return None;
        }
        let number = self.next_ack;
        self.frames.push_back(self.writer.event(name, payload, number).ok()?);
        self.next_ack += 1;
        Some(number)
    }

    /// What waits, taken out.
    pub fn drain(&mut self) -> impl Iterator<Item = String> {
        self.frames.drain(..)
    }

    fn push(&mut self, frame: String) {
        self.frames.push_back(frame);
    }

    fn clear(&mut self) {
        self.frames.clear();
        self.next_ack = 0;
    }
}

/// What can be done to a client from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Its TCP connection breaks without a word, and for so long it has no network.
    Unplug(Duration),
    /// It no longer reads its socket, and does nothing else.
    StopReading,
    /// It reads again.
    ReadAgain,
}

/// What all clients count together.
#[derive(Default)]
pub struct Counters {
    /// Handshakes that were refused, failed or took too long.
    pub failed_handshakes: AtomicU64,
    /// Connections whose server was silent for too long.
    pub silent: AtomicU64,
}

/// What clients have in common.
pub struct Settings {
    /// Ports of the nodes, on loopback.
    pub nodes: Vec<u16>,
    /// Namespace.
    pub namespace: String,
    /// How long TCP connection, upgrade and handshake may take together.
    pub handshake: Duration,
    /// Bytes of the socket's receive buffer in the kernel; none for its default.
    pub receive_buffer: Option<u32>,
    /// Counted here.
    pub counters: Arc<Counters>,
}

impl Settings {
    /// The usual.
    pub fn new(nodes: Vec<u16>, counters: Arc<Counters>) -> Self {
        let namespace = "/".into();
        // A frozen node takes connections and says nothing: soon enough another one is tried, as behind a balancer.
        Self { nodes, namespace, handshake: Duration::from_secs(4), receive_buffer: None, counters }
    }
}

/// First pause before coming back; it doubles, up to [`LONGEST_PAUSE`], and each is between half and one and a half of it.
const PAUSE: Duration = Duration::from_millis(400);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Runs a client until it is sent away (or dropped). `first` is the node that it tries first.
pub async fn run<B: Behaviour>(
    settings: Arc<Settings>,
    token: String,
    first: usize,
    seed: u64,
    behaviour: &mut B,
    mut commands: mpsc::Receiver<Command>,
) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut outbox = Outbox::new(&settings.namespace);
    let mut node = first % settings.nodes.len();
    let mut tries = 0;
    loop {
        outbox.clear();
        // What was asked for while there was no connection is past.
        while commands.try_recv().is_ok() {}
        let ended = match Connection::open(&settings, node, &token).await {
            Ok(mut connection) => {
                let ended = connection.serve(behaviour, &mut outbox, &mut commands).await;
                if connection.joined {
                    tries = 0;
                    behaviour.disconnected();
                }
                ended
            }
            Err(_) => {
                settings.counters.failed_handshakes.fetch_add(1, Ordering::Relaxed);
                Ended::Transport
            }
        };
        match ended {
            Ended::SentAway(why) => return behaviour.sent_away(&why),
            Ended::Unplugged(away) => tokio::time::sleep(away).await,
            Ended::Silent => {
                settings.counters.silent.fetch_add(1, Ordering::Relaxed);
            }
            Ended::Transport => {}
        }
        let pause = (PAUSE * 2u32.saturating_pow(tries)).min(LONGEST_PAUSE);
        tokio::time::sleep(pause.mul_f64(rng.random_range(0.5..1.5))).await;
        tries = (tries + 1).min(8);
        // Another one, as a balancer would choose.
        let nodes = settings.nodes.len();
        node = (node + rng.random_range(1..nodes.max(2))) % nodes;
    }
}
