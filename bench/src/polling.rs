//! Echo over HTTP long-polling: clients that never upgrade.
//!
//! A client has two connections, as a browser does: one always has a GET under way, the other one sends. While a POST is
//! under way, packets wait and then go together in the next one. A client stays with its server.

mod client;

use std::{collections::BTreeMap, net::SocketAddrV4};

use anyhow::{Result, bail};

use crate::{
    args::Args,
    clock::{SECOND, now},
    outcome::Outcome,
    poll::{Poll, Ready},
    token,
    workload::{Work, echo::Echoes, measure},
};
use client::{Client, Way};

/// Bytes that are read at once.
const BUFFER: usize = 64 * 1024;
/// How long the clients may take to come up.
const PATIENCE: u64 = 20 * SECOND;

/// All clients.
struct Polling {
    poll: Poll,
    ready: Vec<Ready>,
    buffer: Vec<u8>,
    clients: Vec<Client>,
    echoes: Echoes,
    window: u32,
    failures: BTreeMap<String, u64>,
}

/// Runs it.
pub fn run(args: &Args) -> Result<Outcome> {
    let mut polling = Polling::new(args)?;
    polling.gather()?;
    let before = polling.open();
    let usage = measure(args, &mut polling)?;
    let open = polling.open();
    let outcome = Outcome {
        sockets: open,
        failed: args.sockets - before,
        disconnected: before - open,
        failures: polling.failures.clone(),
        ..Outcome::default()
    };
    Ok(polling.echoes.conclude(outcome, &usage))
}

impl Polling {
    fn new(args: &Args) -> Result<Self> {
        let poll = Poll::new()?;
        let mut clients = Vec::with_capacity(args.sockets);
        for (who, token) in token::signed(args.sockets, &args.secret)?.into_iter().enumerate() {
            let target: SocketAddrV4 = args.targets[who % args.targets.len()];
            let client = Client::connect(target, token)?;
            poll.add(&client.connection(Way::Receive).tcp, token_of(who, Way::Receive), true)?;
            poll.add(&client.connection(Way::Send).tcp, token_of(who, Way::Send), true)?;
            clients.push(client);
        }
        Ok(Self {
            poll,
            ready: Vec::new(),
            buffer: vec![0; BUFFER],
            echoes: Echoes::new(args.sockets, args.size),
            clients,
            window: args.window,
            failures: BTreeMap::new(),
        })
    }

    /// Waits until all clients are signed in or have failed.
    fn gather(&mut self) -> Result<()> {
        let deadline = now() + PATIENCE;
        while self.clients.iter().any(|client| !client.failed && !client.is_ready()) {
            if now() > deadline {
                bail!("not all polling clients came up; {:?}", self.failures);
            }
            self.turn(now() + SECOND / 10)?;
        }
        if self.open() == 0 {
            bail!("no polling client came up: {:?}", self.failures);
        }
        Ok(())
    }

    fn open(&self) -> usize {
        self.clients.iter().filter(|client| !client.failed).count()
    }

    fn handle(&mut self, event: Ready) -> Result<()> {
        let (who, way) = (event.token / 2, if event.token.is_multiple_of(2) { Way::Receive } else { Way::Send });
        let client = &mut self.clients[who];
        if client.failed {
            return Ok(());
        }
        let connection = client.connection_mut(way);
        if event.writable {
            connection.tcp.connected()?;
            if connection.tcp.flush()? {
                self.poll.want_write(&connection.tcp, event.token, false)?;
            }
            if way == Way::Receive && client.begin() {
                return self.arm(who);
            }
        }
        if event.readable {
            let client = &mut self.clients[who];
            let connection = client.connection_mut(way);
            let Some(read) = connection.tcp.read(&mut self.buffer)? else { return Ok(()) };
            connection.begun.extend_from_slice(&self.buffer[..read]);
            let now = now();
            let echoes = &mut self.echoes;
            // Each answer allows one more request.
            client.received(way, |client, id, body| {
                if echoes.answered(who, id, body, now) {
                    client.queue(|text| echoes.request(who, text));
                }
            })?;
            self.arm(who)?;
        }
        Ok(())
    }

    /// Requests what can be requested, and waits for room to write where the kernel has none.
    fn arm(&mut self, who: usize) -> Result<()> {
        for way in self.clients[who].advance()? {
            self.poll.want_write(&self.clients[who].connection(way).tcp, token_of(who, way), true)?;
        }
        Ok(())
    }

    fn fail(&mut self, who: usize, error: &anyhow::Error) {
        let client = &mut self.clients[who];
        if !client.failed {
            client.failed = true;
            for way in [Way::Receive, Way::Send] {
                self.poll.remove(&client.connection(way).tcp);
            }
            *self.failures.entry(format!("{error:#}")).or_default() += 1;
        }
    }
}

fn token_of(who: usize, way: Way) -> usize {
    who * 2 + usize::from(way == Way::Send)
}

impl Work for Polling {
    fn tick(&mut self, now: u64) -> u64 {
        let window = std::mem::take(&mut self.window);
        for who in 0..self.clients.len() {
            if window == 0 || self.clients[who].failed {
                continue;
            }
            for _ in 0..window {
                self.clients[who].queue(|text| self.echoes.request(who, text));
            }
            if let Err(error) = self.arm(who) {
                self.fail(who, &error);
            }
        }
        now + SECOND
    }

    fn turn(&mut self, until: u64) -> Result<()> {
        let mut ready = std::mem::take(&mut self.ready);
        self.poll.wait(until, &mut ready)?;
        for event in ready.drain(..) {
            if let Err(error) = self.handle(event) {
                self.fail(event.token / 2, &error);
            }
        }
        self.ready = ready;
        Ok(())
    }

    fn count(&mut self, on: bool) {
        self.echoes.count(on);
    }

    fn finish(&mut self) -> u64 {
        self.echoes.finish()
    }
}
