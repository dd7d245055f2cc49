//! Brings all clients up: connected, signed in, and in their rooms.

use std::net::SocketAddrV4;

use anyhow::{Result, bail};

use super::{Client, Crowd, Silent, Stage};
use crate::{
    clock::{SECOND, now},
    dialect::{JOIN, Packet},
    histogram::Histogram,
    tcp::Tcp,
};

/// Clients that are on their way at a time.
const AT_ONCE: usize = 128;
/// How long nothing may move before the run fails.
const PATIENCE: u64 = 20 * SECOND;
/// A join that is refused, such as by a server under load, is repeated that often.
const REFUSALS: u32 = 20;

/// Counts of clients.
#[derive(Default)]
pub struct Progress {
    under_way: usize,
    ready: usize,
    failed: usize,
    lost: usize,
    rejoins: u64,
    latency: Histogram,
}

impl Progress {
    pub(super) fn closed(&mut self, stage: Stage) {
        match stage {
            Stage::Ready => {
                self.ready -= 1;
                self.lost += 1;
            }
            Stage::Closed => {}
            _ => {
                self.under_way -= 1;
                self.failed += 1;
            }
        }
    }
}

/// How the clients came up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gathered {
    /// From the first connect until the last client was ready.
    pub seconds: f64,
    /// Milliseconds from a client's connect until it was ready: half of the clients took at most that.
    pub p50_ms: Option<f64>,
    /// The same of 99 of 100 clients.
    pub p99_ms: Option<f64>,
    /// Joins that were refused and repeated.
    pub rejoins: u64,
}

impl Crowd {
    /// Connects all clients. Clients that fail are counted; the run fails if nothing moves any more.
    #[expect(clippy::cast_precision_loss, reason = "seconds of one run")]
    pub fn gather(&mut self) -> Result<Gathered> {
        let start = now();
        let mut moved = (start, 0);
        loop {
            while self.progress.under_way < AT_ONCE && self.clients.len() < self.tokens.len() {
                self.open();
            }
            let done = self.progress.ready + self.progress.failed + self.progress.lost;
            if done == self.tokens.len() {
                break;
            }
            let now = now();
            if done > moved.1 {
                moved = (now, done);
            } else if now > moved.0 + PATIENCE {
                bail!("{done} of {} clients came up, then nothing moved; {:?}", self.tokens.len(), self.failures);
            }
            self.turn(&mut Silent, now + SECOND)?;
        }
        let latency = &self.progress.latency;
        Ok(Gathered {
            seconds: (now() - start) as f64 / SECOND as f64,
            p50_ms: latency.percentile(50),
            p99_ms: latency.percentile(99),
            rejoins: self.progress.rejoins,
        })
    }

    /// Whether that client is ready.
    pub fn is_ready(&self, who: usize) -> bool {
        self.clients.get(who).is_some_and(|client| client.stage == Stage::Ready)
    }

    /// Clients that are ready now.
    pub fn ready(&self) -> usize {
        self.progress.ready
    }

    /// Clients that never became ready.
    pub fn failed(&self) -> usize {
        self.progress.failed
    }

    /// Clients that were ready and lost their connection.
    pub fn lost(&self) -> usize {
        self.progress.lost
    }

    fn open(&mut self) {
        let who = self.clients.len();
        let target: SocketAddrV4 = self.targets[who % self.targets.len()];
        self.progress.under_way += 1;
        let tcp = Tcp::connect(target).and_then(|tcp| {
            self.poll.add(&tcp, who, true)?;
            Ok(tcp)
        });
        let (tcp, error) = match tcp {
            Ok(tcp) => (Some(tcp), None),
            Err(error) => (None, Some(error)),
        };
        self.clients.push(Client { tcp, stage: Stage::Connecting, begun: Vec::new(), since: now(), refusals: 0 });
        if let Some(error) = error {
            self.close(who, &error.to_string());
        }
    }

    /// The WebSocket is open.
    pub(super) fn upgraded(&mut self, who: usize) {
        self.clients[who].stage = Stage::SigningIn;
        if self.dialect.speaks_first() {
            self.sign_in(who);
        }
    }

    /// The next step of a client that is not ready yet.
    pub(super) fn step(&mut self, who: usize, packet: Packet<'_>, now: u64) -> Result<()> {
        match (self.clients[who].stage, packet) {
            (Stage::SigningIn, Packet::Open) => self.sign_in(who),
            (Stage::SigningIn, Packet::Connected) if self.room(who).is_some() => {
                self.clients[who].stage = Stage::Joining;
                self.join(who);
            }
            (Stage::SigningIn, Packet::Connected) | (Stage::Joining, Packet::Ack { id: JOIN, done: true, .. }) => {
                let client = &mut self.clients[who];
                client.stage = Stage::Ready;
                self.progress.latency.add(now.saturating_sub(client.since));
                self.progress.under_way -= 1;
                self.progress.ready += 1;
            }
            (Stage::Joining, Packet::Ack { id: JOIN, body, .. }) => {
                let client = &mut self.clients[who];
                client.refusals += 1;
                if client.refusals > REFUSALS {
                    bail!("the join was refused: {}", String::from_utf8_lossy(body));
                }
                self.progress.rejoins += 1;
                self.join(who);
            }
            _ => {}
        }
        Ok(())
    }

    fn sign_in(&mut self, who: usize) {
        let token = std::mem::take(&mut self.tokens[who]);
        let dialect = self.dialect;
        self.text(who, |text| dialect.connect(text, &token));
    }

    fn join(&mut self, who: usize) {
        if let Some(room) = self.room(who) {
            let dialect = self.dialect;
            self.text(who, |text| dialect.join(text, room));
        }
    }
}
