//! A crowd that loses all its servers at once and comes back, with the delays of the stock client.
//!
//! Every client connects, signs in and joins its room. Then this program prints a line, whoever started it kills the
//! servers and starts them again, and writes the new process ids to standard input: the moment of the return. From then
//! on it counts who is back. Some clients are witnesses: they come back without a delay and ask for echoes all the time,
//! before and after. What is the crowd's return to them? They have a thread of their own, so that this program's work for
//! the crowd does not count as the servers' delay.

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
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, TryRecvError},
    },
    thread::JoinHandle,
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
    usage::{Probe, Sample, Usage},
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
/// How long the witnesses measure before the storm.
const CALM: u64 = 3 * SECOND;
/// How long all clients may take to come up at first.
const PATIENCE: u64 = 180 * SECOND;
const BUFFER: usize = 256 * 1024;

/// See the module.
pub fn run(args: &Args) -> Result<Outcome> {
    let tokens = token::signed(args.sockets, &args.secret)?;
    let mut crowd = Storm::new(args, &tokens, args.witnesses..args.sockets)?;
    let witnesses = Witnesses::start(args.clone(), tokens);
    crowd.connect_all()?;
    while !witnesses.are_up() {
        crowd.stay(SECOND / 20)?;
    }
    witnesses.measure(Phase::Calm);
    crowd.stay(CALM)?;
    witnesses.measure(Phase::Storm);
    println!("{{\"ready\":{}}}", crowd.ready());
    std::io::stdout().flush()?;
    let (back, returned) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        // A failure leaves the line empty, which is refused below.
        let _ = std::io::stdin().lock().read_line(&mut line);
        back.send((now(), line))
    });
    let (since, line) = crowd.until_returned(&returned)?;
    let servers: Vec<u32> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>().context("process ids")?;
    ensure!(!servers.is_empty(), "the servers did not return");
    let probe = Probe { servers, redis: args.redis.clone() };
    let usage = crowd.watch(since, &probe, nanoseconds(args.duration))?;
    let echoes = witnesses.end()?;
    let stages = crowd.stages();
    Ok(crowd.returns.outcome(crowd.clients.len(), stages, crowd.failures, &echoes, &usage))
}

/// The thread of the witnesses.
struct Witnesses {
    are_up: Arc<AtomicBool>,
    phase: mpsc::Sender<Phase>,
    thread: JoinHandle<Result<Echoes>>,
}

/// The two sets of echoes that the witnesses measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Calm,
    Storm,
}

impl Witnesses {
    fn start(args: Args, tokens: Vec<String>) -> Self {
        let (phase, phases) = mpsc::channel();
        let are_up = Arc::<AtomicBool>::default();
        let up = Arc::clone(&are_up);
        let thread = std::thread::spawn(move || {
            let mut storm = Storm::new(&args, &tokens, 0..args.witnesses)?;
            storm.has_echoes = true;
            storm.connect_all()?;
            up.store(true, Ordering::Release);
            loop {
                match phases.try_recv() {
                    Ok(Phase::Calm) => storm.echoes.record(true),
                    Ok(Phase::Storm) => storm.echoes.next_phase(),
                    Err(TryRecvError::Empty) => storm.turn(now() + SECOND / 20)?,
                    Err(TryRecvError::Disconnected) => break,
                }
            }
            let ready = storm.ready();
            ensure!(ready == storm.clients.len(), "{ready} of {} witnesses are back", storm.clients.len());
            Ok(storm.echoes)
        });
        Self { are_up, phase, thread }
    }

    /// Whether all are connected, or their thread has ended with an error.
    fn are_up(&self) -> bool {
        self.are_up.load(Ordering::Acquire) || self.thread.is_finished()
    }

    fn measure(&self, phase: Phase) {
        // If the thread has ended, `end` returns its error.
        let _ = self.phase.send(phase);
    }

    /// Ends them, and returns what they measured.
    fn end(self) -> Result<Echoes> {
        drop(self.phase);
        self.thread.join().map_err(|_| anyhow::anyhow!("the thread of the witnesses panicked"))?
    }
}

struct Storm {
    targets: Vec<SocketAddrV4>,
    tokens: Vec<String>,
    room_size: usize,
    /// Whether its clients are witnesses.
    has_echoes: bool,
    /// The number of its first client among all.
    first: usize,
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
    fn new(args: &Args, tokens: &[String], clients: Range<usize>) -> Result<Self> {
        ensure!(args.dialect == Dialect::Socketio, "only Socket.IO has echo");
        Ok(Self {
            targets: args.targets.clone(),
            first: clients.start,
            tokens: tokens.get(clients).context("more witnesses than clients")?.to_vec(),
            room_size: args.room_size,
            has_echoes: false,
            poll: Poll::new()?,
            clients: Vec::new(),
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

    /// Connects all clients, a bounded number at a time.
    fn connect_all(&mut self) -> Result<()> {
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
        self.returns = Returns::default();
        self.failures.clear();
        Ok(())
    }

    /// Goes on for so long.
    fn stay(&mut self, long: u64) -> Result<()> {
        let end = now() + long;
        while now() < end {
            self.turn(end)?;
        }
        Ok(())
    }

    /// Goes on until the servers have returned. Returns when, and the line that was read.
    fn until_returned(&mut self, returned: &mpsc::Receiver<(u64, String)>) -> Result<(u64, String)> {
        loop {
            if let Ok(message) = returned.try_recv() {
                return Ok(message);
            }
            self.turn(now() + SECOND / 100)?;
        }
    }

    /// Goes on until all are back, and a little longer, or until the time is over. Returns what was used until then.
    fn watch(&mut self, since: u64, probe: &Probe, most: u64) -> Result<Usage> {
        self.returns.since(since);
        let before: Sample = probe.sample()?;
        let mut all_back = None;
        while now() < since + most && all_back.as_ref().is_none_or(|(at, _)| now() < at + 3 * SECOND) {
            self.turn(now() + SECOND / 20)?;
            if all_back.is_none() && self.returns.back() == self.clients.len() {
                all_back = Some((now(), before.until(&probe.sample()?)));
            }
        }
        match all_back {
            Some((_, usage)) => Ok(usage),
            None => Ok(before.until(&probe.sample()?)),
        }
    }

    /// How many clients are how far.
    fn stages(&self) -> BTreeMap<String, usize> {
        self.clients.iter().fold(BTreeMap::new(), |mut stages, client| {
            *stages.entry(format!("{:?}", client.stage)).or_default() += 1;
            stages
        })
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
        let source = Ipv4Addr::from(0x7f01_0001 + u32::try_from(self.first + who).unwrap_or_default());
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
        let delay = match self.has_echoes {
            true => WITNESS_PAUSE,
            false => backoff::delay(client.failures, self.random),
        };
        client.failures += 1;
        client.attempts += 1;
        self.plan(who, now() + delay, Step::Connect);
    }
}
