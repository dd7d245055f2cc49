//! A small client of the stock protocol: websocket only, text only, one namespace.
//!
//! It behaves like the stock client: it answers pings and gives up on a silent server; it reconnects, to another node
//! if there is one, when a handshake fails or the transport closes; it never reconnects after CONNECT_ERROR or
//! DISCONNECT. Its [`Handler`] handles events and sends; it is called in the client's own task: only outgoing frames
//! are queued. It has no polling, no binary and no compression.

mod connection;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::Serialize;
use tokio::sync::mpsc;

use super::{
    packet::{self, Back},
    shared::Figures,
};
use connection::{Connection, Ended};

/// A client's reaction to events; it sends through the [`Outbox`].
pub trait Handler: Send {
    /// The client has joined the namespace over a new connection. `recovered`: it is where it was, and what it missed
    /// follows.
    fn connected(&mut self, recovered: bool, outbox: &mut Outbox);
    /// Received an event; `data` is its whole array.
    fn event(&mut self, name: &str, data: &str, outbox: &mut Outbox);
    /// Received the ack for the event that [`Outbox::emit`] numbered so on this connection.
    fn ack(&mut self, number: u32, data: &str, outbox: &mut Outbox);
    /// Called every [`Handler::pace`] while the namespace is joined.
    fn tick(&mut self, outbox: &mut Outbox);
    /// Interval between ticks; read once per connection.
    fn pace(&self) -> Duration;
    /// The connection is lost; outstanding acks will not come. Returns whether the client may be recovered: not if it
    /// waited for something that recovery does not cover.
    fn disconnected(&mut self) -> bool;
    /// Received CONNECT_ERROR or DISCONNECT: the client stops.
    fn rejected(&mut self, why: &str);
}

/// A bounded queue of frames to write.
#[derive(Default)]
pub struct Outbox {
    frames: VecDeque<String>,
    next_ack: u32,
}

/// Most frames in the queue. It is written out after each call of a handler, so this limits one call.
const OUTBOX: usize = 1_024;

impl Outbox {
    /// Queues an event that asks for an ack. Returns the ack's number; none if the queue is full or `payload` does not
    /// serialise.
    pub fn emit(&mut self, name: &str, payload: &impl Serialize) -> Option<u32> {
        if self.frames.len() >= OUTBOX {
            return None;
        }
        let number = self.next_ack;
        self.frames.push_back(packet::event(name, payload, number).ok()?);
        self.next_ack += 1;
        Some(number)
    }

    /// Takes all frames out of the queue.
    pub fn drain(&mut self) -> impl Iterator<Item = String> {
        self.frames.drain(..)
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

/// Settings of a client.
pub struct Settings {
    /// Addresses of the nodes, as `host:port`.
    pub nodes: Vec<String>,
    /// Bytes of the socket's receive buffer in the kernel, for nodes with IPv4 addresses; none for its default.
    pub receive_buffer: Option<u32>,
    /// Whether the client asks for recovery.
    pub recovers: bool,
    /// Counts failed handshakes, silent servers and unplugged connections.
    pub figures: Arc<Mutex<Figures>>,
}

/// First pause before reconnecting; it doubles up to [`LONGEST_PAUSE`]. Each is multiplied by a random 0.5 to 1.5.
const PAUSE: Duration = Duration::from_millis(400);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Runs a client until CONNECT_ERROR or DISCONNECT, or until dropped. `first` is the node that it tries first.
pub async fn run<H: Handler>(
    settings: Settings,
    token: String,
    first: usize,
    seed: u64,
    handler: &mut H,
    mut commands: mpsc::Receiver<Command>,
) {
    let mut rng = StdRng::seed_from_u64(seed);
    let nodes = settings.nodes.len();
    let mut node = first % nodes;
    let mut tries = 0;
    let mut back = settings.recovers.then(Back::default);
    loop {
        // Discard commands that came while there was no connection.
        while commands.try_recv().is_ok() {}
        let address = &settings.nodes[node];
        let ended = match Connection::open(address, settings.receive_buffer, &token, back.clone()).await {
            Ok(mut connection) => {
                let ended = connection.serve(handler, &mut commands).await;
                if connection.joined {
                    tries = 0;
                    let may_be_recovered = handler.disconnected();
                    back = connection.back.filter(|_| may_be_recovered).or(settings.recovers.then(Back::default));
                }
                ended
            }
            Err(_) => {
                settings.figures.lock().failed_handshakes += 1;
                Ended::Transport
            }
        };
        match ended {
            Ended::Rejected(why) => return handler.rejected(&why),
            Ended::Unplugged(away) => {
                settings.figures.lock().unplugged += 1;
                tokio::time::sleep(away).await;
            }
            Ended::Silent => settings.figures.lock().silent_servers += 1,
            Ended::Transport => {}
        }
        let pause = (PAUSE * 2u32.saturating_pow(tries)).min(LONGEST_PAUSE);
        tokio::time::sleep(pause.mul_f64(rng.random_range(0.5..1.5))).await;
        tries = (tries + 1).min(8);
        // Try another node, as a balancer would choose.
        node = (node + rng.random_range(1..nodes.max(2))) % nodes;
    }
}
