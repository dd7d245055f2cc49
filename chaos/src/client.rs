//! A small client of the stock protocol: websocket only, text only, one namespace.
//!
//! It behaves like the stock client: it answers pings and gives up on a silent server; it reconnects, to another node
//! if there is one, when a handshake fails or the transport closes; it never reconnects after CONNECT_ERROR or
//! DISCONNECT. Its [`Handler`] handles events and sends; it is called in the client's own task: only outgoing frames
//! are queued. It has no polling, no binary and no compression.

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

/// A client's reaction to events; it sends through the [`Outbox`].
pub trait Handler: Send {
    /// The client has joined the namespace over a new connection to that node.
    fn connected(&mut self, node: usize, outbox: &mut Outbox);
    /// Received an event; `data` is its whole array.
    fn event(&mut self, name: &str, data: &str, outbox: &mut Outbox);
    /// Received the ack for the event that [`Outbox::emit`] numbered so on this connection.
    fn ack(&mut self, number: u32, data: &str, outbox: &mut Outbox);
    /// Called every [`Handler::pace`] while the namespace is joined.
    fn tick(&mut self, outbox: &mut Outbox);
    /// Interval between ticks; read once per connection.
    fn pace(&self) -> Duration;
    /// The connection is lost; outstanding acks will not come.
    fn disconnected(&mut self);
    /// Received CONNECT_ERROR or DISCONNECT: the client stops.
    fn rejected(&mut self, why: &str);
}

/// A bounded queue of frames to write.
pub struct Outbox {
    writer: Writer,
    frames: VecDeque<String>,
    next_ack: u32,
}

/// Most frames in the queue. It is written out after each call of a handler, so this limits one call.
const OUTBOX: usize = 1_024;

impl Outbox {
    /// An empty queue for that namespace.
    pub fn new(namespace: &str) -> Self {
        Self { writer: Writer::new(namespace), frames: VecDeque::new(), next_ack: 0 }
    }

    /// Queues an event that asks for an ack. Returns the ack's number; none if the queue is full or `payload` does not
    /// serialise.
    pub fn emit(&mut self, name: &str, payload: &impl Serialize) -> Option<u32> {
        if self.frames.len() >= OUTBOX {
            return None;
        }
        let number = self.next_ack;
        self.frames.push_back(self.writer.event(name, payload, number).ok()?);
        self.next_ack += 1;
        Some(number)
    }

    /// Takes all frames out of the queue.
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

/// Commands to a running client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Drop the TCP connection without a close frame, and stay offline for this long.
    Unplug(Duration),
    /// Stop reading the socket, and do nothing else either until [`Command::ReadAgain`].
    StopReading,
    /// Read the socket again.
    ReadAgain,
}

/// Counters shared by all clients.
#[derive(Default)]
pub struct Counters {
    /// Handshakes that were refused, failed or took too long.
    pub failed_handshakes: AtomicU64,
    /// Connections whose server was silent for too long.
    pub silent: AtomicU64,
    /// Connections dropped by [`Command::Unplug`].
    pub unplugged: AtomicU64,
}

/// Settings shared by several clients.
pub struct Settings {
    /// Addresses of the nodes, as `host:port`.
    pub nodes: Vec<String>,
    pub namespace: String,
    /// How long TCP connection, upgrade and handshake may take together.
    pub handshake: Duration,
    /// Bytes of the socket's receive buffer in the kernel; none for its default.
    pub receive_buffer: Option<u32>,
    pub counters: Arc<Counters>,
}

impl Settings {
    /// Default settings: namespace `/`, 4 s for a handshake.
    pub fn new(nodes: Vec<String>, counters: Arc<Counters>) -> Self {
        let namespace = "/".into();
        // A frozen node accepts connections but does not answer: give up early and try another, as behind a balancer.
        Self { nodes, namespace, handshake: Duration::from_secs(4), receive_buffer: None, counters }
    }
}

/// First pause before reconnecting; it doubles up to [`LONGEST_PAUSE`]. Each is multiplied by a random 0.5 to 1.5.
const PAUSE: Duration = Duration::from_millis(400);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Runs a client until CONNECT_ERROR or DISCONNECT, or until dropped. `first` is the node that it tries first.
pub async fn run<H: Handler>(
    settings: Arc<Settings>,
    token: String,
    first: usize,
    seed: u64,
    handler: &mut H,
    mut commands: mpsc::Receiver<Command>,
) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut outbox = Outbox::new(&settings.namespace);
    let mut node = first % settings.nodes.len();
    let mut tries = 0;
    loop {
        outbox.clear();
        // Discard commands that came while there was no connection.
        while commands.try_recv().is_ok() {}
        let ended = match Connection::open(&settings, node, &token).await {
            Ok(mut connection) => {
                let ended = connection.serve(handler, &mut outbox, &mut commands).await;
                if connection.joined {
                    tries = 0;
                    handler.disconnected();
                }
                ended
            }
            Err(_) => {
                settings.counters.failed_handshakes.fetch_add(1, Ordering::Relaxed);
                Ended::Transport
            }
        };
        match ended {
            Ended::Rejected(why) => return handler.rejected(&why),
            Ended::Unplugged(away) => {
                settings.counters.unplugged.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(away).await;
            }
            Ended::Silent => {
                settings.counters.silent.fetch_add(1, Ordering::Relaxed);
            }
            Ended::Transport => {}
        }
        let pause = (PAUSE * 2u32.saturating_pow(tries)).min(LONGEST_PAUSE);
        tokio::time::sleep(pause.mul_f64(rng.random_range(0.5..1.5))).await;
        tries = (tries + 1).min(8);
        // Try another node, as a balancer would choose.
        let nodes = settings.nodes.len();
        node = (node + rng.random_range(1..nodes.max(2))) % nodes;
    }
}
