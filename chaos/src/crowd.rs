//! The clients of a run: starts them, and waits at the end until all have caught up.

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
    member::{Load, Member, Sender, name},
    record::Room,
    shared::Shared,
    users::User,
};

/// Sizes and load of the clients.
#[derive(Clone, Copy)]
pub struct Kind<'a> {
    pub sizes: Sizes,
    /// Load of each sender.
    pub load: Load,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Members whose deliveries do not count in the latency, and whose sockets have a small receive buffer.
    pub stuck: &'a [usize],
    /// Whether members check announcements of each other's absence: see [`presence`](super::presence).
    pub checks_presence: bool,
}

/// Receive buffer of a client that will stop reading, in bytes: the kernel must not hide that.
const SMALL_BUFFER: u32 = 16 * 1024;
/// Longest wait until all clients are connected and joined.
const GATHER: Duration = Duration::from_secs(60);
/// Longest wait until everything is acknowledged; and, after that, until everybody has caught up.
const SETTLE: Duration = Duration::from_secs(45);
/// Interval between two checks.
const LOOK: Duration = Duration::from_millis(50);

/// All clients of a run; dropping it ends them.
pub struct Crowd {
    /// The clients' common records.
    pub shared: Arc<Shared>,
    /// Command channel of each client, by number.
    pub commands: Vec<mpsc::Sender<Command>>,
    clients: JoinSet<()>,
    seats: usize,
}

impl Crowd {
    /// Starts the clients, spread over the nodes with these addresses (`host:port`); they connect by themselves. There
    /// must be a user for each member. Rooms have new names in each run: a cluster may have rooms of an earlier one.
    pub fn enter(kind: &Kind<'_>, nodes: &[String], users: Vec<User>) -> Self {
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
        let run = rand::random::<u32>();
        let rooms = rooms.into_iter().zip(0..);
        let rooms = rooms.map(|(members, number)| Room::new(format!("chaos-{run:08x}-{number}"), members)).collect();
        let (ids, tokens): (Vec<_>, Vec<_>) = users.into_iter().map(|user| (user.id, user.token)).unzip();
        let shared = Shared::new(rooms, kind.sizes.senders.min(parts.len()), ids, kind.checks_presence);
        let usual = Arc::new(Settings::new(nodes.to_vec(), Arc::clone(&shared.counters)));
        let small = Settings::new(nodes.to_vec(), Arc::clone(&shared.counters));
        let small = Arc::new(Settings { receive_buffer: Some(SMALL_BUFFER), ..small });

        let mut rng = StdRng::seed_from_u64(kind.seed);
        let (mut clients, mut commands) = (JoinSet::new(), Vec::with_capacity(parts.len()));
        for (((part, seats), token), number) in parts.iter().zip(&seats).zip(tokens).zip(0..) {
            let index = commands.len();
            let sender = (!part.sends.is_empty()).then(|| Sender::new(number, part.sends.clone(), kind.load));
            let mut member = Member::new(number, seats, sender, Arc::clone(&shared));
            member.measured = !kind.stuck.contains(&index);
            let settings = Arc::clone(if member.measured { &usual } else { &small });
            let (command, inbox) = mpsc::channel(4);
            let seed = rng.random();
            commands.push(command);
            clients.spawn(async move { client::run(settings, token, index, seed, &mut member, inbox).await });
        }
        let seats = seats.iter().map(Vec::len).sum();
        Self { shared, commands, clients, seats }
    }

    /// Waits until every member is in its rooms; fails if that takes longer than [`GATHER`].
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

    /// Lets the senders begin.
    pub fn begin(&self) {
        self.shared.sending.store(true, Ordering::Relaxed);
    }

    /// Stops the senders and waits until everything is acknowledged and everybody has caught up. If that takes too
    /// long, returns a line of text that says so; the checker still judges the record.
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
                let place = |(room, member): &(usize, u32)| {
                    format!("{} in {}", name(*member), self.shared.rooms[*room].lock().name)
                };
                let some = behind.iter().take(10).map(place);
                let some = some.collect::<Vec<_>>().join(", ");
                return Some(format!("{} places in rooms never caught up: {some}", behind.len()));
            }
            sleep(LOOK).await;
        }
    }

    /// Ends the clients and returns their records.
    pub async fn leave(mut self) -> Arc<Shared> {
        self.clients.shutdown().await;
        self.shared
    }
}
