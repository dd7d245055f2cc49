//! A crowd that loses all its servers at once and comes back, with the delays of the stock client.
//!
//! Every client connects, signs in and joins its room. Then this program prints a line, whoever started it kills the
//! servers and starts them again, and writes the new process ids to standard input: the moment of the return. From then
//! on it counts who is back. Some clients are witnesses: they come back without a delay and ask for echoes all the time,
//! before and after. What is the crowd's return to them?

mod backoff;
mod client;
mod echo;
mod packets;
mod returns;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    io::{BufRead as _, Write as _},
    net::{Ipv4Addr, SocketAddrV4},
    sync::mpsc,
};

use anyhow::{Context, Result, ensure};

pub use self::returns::Outcome;
use self::{
    client::{Client, Stage, Step},
    echo::Echoes,
    returns::Returns,
};
use crate::{
    args::Args,
    clock::{SECOND, nanoseconds, now},
    dialect::Dialect,
    poll::Poll,
    tcp::Tcp,
    token,
    usage::{Probe, Sample},
    websocket::Masker,
};

/// The stock client gives up a connect after this long (`timeout`).
const CONNECT_TIMEOUT: u64 = 20 * SECOND;
/// An application repeats a join that was refused, or not answered for [`JOIN_TIMEOUT`].
const JOIN_AGAIN: u64 = SECOND;
const JOIN_TIMEOUT: u64 = 5 * SECOND;
/// Clients that connect at a time before the storm.
const AT_ONCE: usize = 128;
/// Pause of a witness between an echo and the next one, and between two attempts to connect.
const WITNESS_PAUSE: u64 = SECOND / 10;
/// How long all clients may take to come up at first.
const PATIENCE: u64 = 180 * SECOND;
const BUFFER: usize = 256 * 1024;

/// See the module.
pub fn run(args: &Args) -> Result<Outcome> {
    let mut storm = Storm::new(args)?;
    storm.begin()?;
    println!("{{\"ready\":{}}}", storm.ready());
    std::io::stdout().flush()?;
    let (back, returned) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        // A failure leaves the line empty, which is refused below.
        let _ = std::io::stdin().lock().read_line(&mut line);
        back.send((now(), line))
    });
    let (since, line) = storm.until_returned(&returned)?;
    let servers: Vec<u32> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>().context("process ids")?;
    ensure!(!servers.is_empty(), "the servers did not return");
    let probe = Probe { servers, redis: args.redis_pid };
    storm.watch(since, &probe, nanoseconds(args.duration))
}

struct Storm {
    targets: Vec<SocketAddrV4>,
    tokens: Vec<String>,
    room_size: usize,
    witnesses: usize,
    poll: Poll,
    clients: Vec<Client>,
    /// When each client has something to do.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    under_way: usize,
    buffer: Vec<u8>,
    masker: Masker,
    echoes: Echoes,
    returns: Returns,
    failures: BTreeMap<String, u64>,
    random: u64,
}

impl Storm {
    fn new(args: &Args) -> Result<Self> {
        ensure!(args.dialect == Dialect::Socketio, "only Socket.IO has echo");
        Ok(Self {
            targets: args.targets.clone(),
            tokens: token::signed(args.sockets, &args.secret)?,
            room_size: args.room_size,
            witnesses: args.witnesses,
            poll: Poll::new()?,
            clients: Vec::with_capacity(args.sockets),
            due: BinaryHeap::new(),
            under_way: 0,
            buffer: vec![0; BUFFER],
            masker: Masker::default(),
            echoes: Echoes::default(),
            returns: Returns::default(),
            failures: BTreeMap::new(),
            random: 0x9e37_79b9_7f4a_7c15,
        })
    }

    fn ready(&self) -> usize {
        self.clients.iter().filter(|client| client.stage == Stage::Ready).count()
    }

    /// Connects all clients, a bounded number at a time, and lets the witnesses measure a calm second or two.
    fn begin(&mut self) -> Result<()> {
        let limit = now() + PATIENCE;
        while self.ready() < self.tokens.len() {
            let now = now();
            ensure!(now < limit, "{} of {} clients came up; {:?}", self.ready(), self.tokens.len(), self.failures);
            while self.under_way < AT_ONCE && self.clients.len() < self.tokens.len() {
                self.clients.push(Client::default());
                self.connect(self.clients.len() - 1, now);
            }
            self.turn(now + SECOND / 50)?;
        }
        let end = now() + 3 * SECOND;
        self.echoes.record(true);
        while now() < end {
            self.turn(end)?;
        }
        self.returns = Returns::default();
        self.failures.clear();
        Ok(())
    }

    /// Goes on until the servers have returned. Returns when, and the line that was read.
    fn until_returned(&mut self, returned: &mpsc::Receiver<(u64, String)>) -> Result<(u64, String)> {
        self.echoes.next_phase();
        loop {
            if let Ok(message) = returned.try_recv() {
                return Ok(message);
            }
            self.turn(now() + SECOND / 100)?;
        }
    }

    /// Goes on until all are back, and a little longer, or until the time is over.
    fn watch(mut self, since: u64, probe: &Probe, most: u64) -> Result<Outcome> {
        self.returns.since(since);
        let before: Sample = probe.sample()?;
        let mut all_back = None;
        let mut usage = None;
        while now() < since + most && all_back.is_none_or(|at| now() < at + 3 * SECOND) {
            self.turn(now() + SECOND / 20)?;
            if all_back.is_none() && self.returns.back() == self.clients.len() {
                all_back = Some(now());
                usage = Some(before.until(&probe.sample()?));
            }
        }
        let usage = match usage {
            Some(usage) => usage,
            None => before.until(&probe.sample()?),
        };
        let stages = self.clients.iter().fold(BTreeMap::new(), |mut stages, client| {
            *stages.entry(format!("{:?}", client.stage)).or_default() += 1;
            stages
        });
        Ok(self.returns.outcome(self.clients.len(), stages, self.failures, &self.echoes, &usage))
    }

    fn turn(&mut self, until: u64) -> Result<()> {
        let now = self.run_due(now());
        let next = self.due.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
        let mut ready = Vec::new();
        self.poll.wait(until.min(next).max(now), &mut ready)?;
        for event in ready {
            if let Err(error) = self.handle(event) {
                self.lost(event.token, &error.to_string());
            }
        }
        Ok(())
    }

    /// Does what is due; returns the time.
    fn run_due(&mut self, now: u64) -> u64 {
        while let Some(Reverse((at, who))) = self.due.peek().copied()
            && at <= now
        {
            self.due.pop();
            match self.clients[who].due(at) {
                Some(Step::Connect) => self.connect(who, now),
                Some(Step::GiveUp) => {
                    self.returns.given_up += 1;
                    self.lost(who, "given up after the connect timeout");
                }
                Some(Step::Join) => {
                    self.returns.rejoins += 1;
                    self.join(who, now);
                }
                Some(Step::Echo) => self.echo(who, now),
                None => {}
            }
        }
        now
    }

    fn plan(&mut self, who: usize, at: u64, step: Step) {
        self.clients[who].plan(at, step);
        self.due.push(Reverse((at, who)));
    }

    fn connect(&mut self, who: usize, now: u64) {
        self.returns.begun += 1;
        self.under_way += 1;
        // Each client has an address of its own, as in real life: 127.1.0.1, 127.1.0.2 and so on.
        let source = Ipv4Addr::from(0x7f01_0001 + u32::try_from(who).unwrap_or_default());
        let tcp = Tcp::connect_from(source, self.target(who)).and_then(|tcp| {
            self.poll.add(&tcp, who, true)?;
            Ok(tcp)
        });
        self.clients[who].stage = Stage::Connecting;
        match tcp {
            Ok(tcp) => {
                self.clients[who].tcp = Some(tcp);
                self.plan(who, now + CONNECT_TIMEOUT, Step::GiveUp);
            }
            Err(error) => self.lost(who, &error.to_string()),
        }
    }

    fn target(&self, who: usize) -> SocketAddrV4 {
        // A balancer gives every attempt to the next server.
        self.targets[(who + self.clients[who].attempts) % self.targets.len()]
    }

    /// The connection is gone: comes back after the stock client's delay.
    fn lost(&mut self, who: usize, reason: &str) {
        let client = &mut self.clients[who];
        if matches!(client.stage, Stage::Waiting | Stage::Gone) {
            return;
        }
        *self.failures.entry(format!("{:?}: {reason}", client.stage)).or_default() += 1;
        if client.stage == Stage::Ready {
            self.returns.left(who);
        } else {
            self.under_way -= 1;
        }
        client.disconnected();
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let delay = match who < self.witnesses {
            true => WITNESS_PAUSE,
            false => backoff::delay(client.failures, self.random),
        };
        client.failures += 1;
        client.attempts += 1;
        self.plan(who, now() + delay, Step::Connect);
    }
}
