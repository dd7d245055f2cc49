//! The clients of a run: brought in, and brought to rest at its end.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Result, bail};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    cast::{Sizes, cast},
    client::{self, Command, Settings},
    member::{Load, Member, Sender, user},
    record::Room,
    shared::Shared,
    token::token,
};

/// What they are like.
#[derive(Clone, Copy)]
pub struct Kind<'a> {
    /// How many.
    pub sizes: Sizes,
    /// What senders send.
    pub load: Load,
    /// Of everything that is drawn.
    pub seed: u64,
    /// Members whose deliveries do not count in the latency, and whose sockets have a small receive buffer.
    pub stuck: &'a [usize],
}

/// Receive buffer of a client that is going to stop reading: the kernel is not to hide it.
const SMALL_BUFFER: u32 = 16 * 1024;
/// Everybody connected and joined.
const GATHER: Duration = Duration::from_secs(60);
/// Everything acknowledged; after that, everybody caught up.
const SETTLE: Duration = Duration::from_secs(45);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// All of them; gone when this is dropped.
pub struct Crowd {
    /// What they write down.
    pub shared: Arc<Shared>,
    /// To each client, by number.
    pub commands: Vec<mpsc::Sender<Command>>,
    clients: JoinSet<()>,
    seats: usize,
}

impl Crowd {
    /// Starts them; they connect by themselves, spread over the nodes with these ports.
    pub fn enter(kind: &Kind<'_>, nodes: &[u16], secret: &str) -> Result<Self> {
        let parts = cast(kind.sizes);
        let mut rooms: Vec<Vec<u32>> = vec![Vec::new(); kind.sizes.rooms];
        let mut seats = Vec::with_capacity(parts.len());
        for (part, member) in parts.iter().zip(0..) {
            let mut sit = |room: &usize| {
                rooms[*room].push(member);
                (*room, rooms[*room].len() - 1)
            };
            seats.push(part.rooms.iter().map(&mut sit).collect::<Vec<_>>());
        }
        let rooms = rooms.into_iter().zip(0..).map(|(members, number)| Room::new(format!("chaos-{number}"), members));
        let shared = Shared::new(rooms.collect(), kind.sizes.senders.min(parts.len()));
        let usual = Arc::new(Settings::new(nodes.to_vec(), Arc::clone(&shared.counters)));
        let small = Settings::new(nodes.to_vec(), Arc::clone(&shared.counters));
        let small = Arc::new(Settings { receive_buffer: Some(SMALL_BUFFER), ..small });

        let mut rng = StdRng::seed_from_u64(kind.seed);
        let (mut clients, mut commands) = (JoinSet::new(), Vec::with_capacity(parts.len()));
        for ((part, seats), number) in parts.iter().zip(&seats).zip(0..) {
            let index = commands.len();
            let sender = (!part.sends.is_empty()).then(|| Sender::new(number, part.sends.clone(), kind.load));
            let mut member = Member::new(number, seats, sender, Arc::clone(&shared));
            member.measured = !kind.stuck.contains(&index);
            let settings = Arc::clone(if member.measured { &usual } else { &small });
            let (command, inbox) = mpsc::channel(4);
            let (token, seed) = (token(&user(number), secret)?, rng.random());
            commands.push(command);
            clients.spawn(async move { client::run(settings, token, index, seed, &mut member, inbox).await });
        }
        let seats = seats.iter().map(Vec::len).sum();
        Ok(Self { shared, commands, clients, seats })
    }

    /// Waits until every member is in its rooms.
    pub async fn gathered(&self) -> Result<()> {
        let deadline = Instant::now() + GATHER;
        loop {
            let joined = self.shared.figures.joined.load(Ordering::Relaxed);
            if joined >= u64::try_from(self.seats)? {
                return Ok(());
            }
            if Instant::now() > deadline {
                let (errors, breaches) = (self.shared.errors.lock(), self.shared.breaches.lock());
                bail!("only {joined} of {} places in rooms were taken in time\n{errors:?}\n{breaches:?}", self.seats);
            }
            sleep(LOOK).await;
        }
    }

    /// Senders begin.
    pub fn begin(&self) {
        self.shared.sending.store(true, Ordering::Relaxed);
    }

    /// Senders stop; waits until all is acknowledged and everybody has caught up. What is not so in time is the checker's to
    /// judge, and a line of text here.
    pub async fn settle(&self) -> Option<String> {
        self.shared.sending.store(false, Ordering::Relaxed);
        let mut deadline = Instant::now() + SETTLE;
        while self.shared.outstanding() > 0 {
            if Instant::now() > deadline {
                return Some(format!("{} messages were never acknowledged", self.shared.outstanding()));
            }
            sleep(LOOK).await;
        }
        deadline = Instant::now() + SETTLE;
        loop {
            let behind = self.shared.behind();
            if behind.is_empty() {
                return None;
            }
            if Instant::now() > deadline {
                let some = behind.iter().take(10).map(|(room, member)| format!("{} in chaos-{room}", user(*member)));
                let some = some.collect::<Vec<_>>().join(", ");
                return Some(format!("{} places in rooms never caught up: {some}", behind.len()));
            }
            sleep(LOOK).await;
        }
    }

    /// Ends them. Gives what was written down.
    pub async fn leave(mut self) -> Arc<Shared> {
        self.clients.shutdown().await;
        self.shared
    }
}
