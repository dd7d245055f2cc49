//! The clients of a run. It starts them, and at the end waits until all have caught up.

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
    assignment::{Sizes, assign},
    client::{self, Command, Settings},
    member::{Load, Member, Sender, name},
    record::Room,
    shared::Shared,
    users::User,
};

/// Sizes and load of the clients.
#[derive(Clone, Copy)]
pub struct ClientConfig<'a> {
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

/// Receive buffer of a client that will stop reading, in bytes: a large one would hide that from the gateway.
const SMALL_BUFFER: u32 = 16 * 1024;
/// Longest wait until all clients are connected and joined.
const JOIN_LIMIT: Duration = Duration::from_secs(60);
/// Longest wait until all messages are acknowledged; and, after that, until all members have caught up.
const SETTLE_LIMIT: Duration = Duration::from_secs(45);
/// Interval between two checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// All clients of a run; they end when it is dropped.
pub struct Crowd {
    /// The clients' common records.
    pub shared: Arc<Shared>,
    /// Command channel of each client, by number.
    pub commands: Vec<mpsc::Sender<Command>>,
    clients: JoinSet<()>,
    /// Memberships in rooms, of all members.
    memberships: usize,
}

impl Crowd {
    /// Starts the clients, spread over the nodes with these addresses (`host:port`); they connect in the background.
    /// There must be a user for each member. Room names are new in each run: a cluster may have rooms of an earlier one.
    pub fn start(config: &ClientConfig<'_>, nodes: &[String], users: Vec<User>) -> Self {
        let assignments = assign(config.sizes);
        let mut rooms: Vec<Vec<u32>> = vec![Vec::new(); config.sizes.rooms];
        let mut memberships = Vec::with_capacity(assignments.len());
        for (assignment, member) in assignments.iter().zip(0..) {
            let mut enter = |room: &usize| {
                rooms[*room].push(member);
                (*room, rooms[*room].len() - 1)
            };
            memberships.push(assignment.rooms.iter().map(&mut enter).collect::<Vec<_>>());
        }
        let run = rand::random::<u32>();
        let rooms = rooms.into_iter().zip(0..);
        let rooms = rooms.map(|(members, number)| Room::new(format!("chaos-{run:08x}-{number}"), members)).collect();
        let (ids, tokens): (Vec<_>, Vec<_>) = users.into_iter().map(|user| (user.id, user.token)).unzip();
        let shared = Shared::new(rooms, config.sizes.senders.min(assignments.len()), ids, config.checks_presence);
        let usual = Arc::new(Settings::new(nodes.to_vec(), Arc::clone(&shared.counters)));
        let small = Settings::new(nodes.to_vec(), Arc::clone(&shared.counters));
        let small = Arc::new(Settings { receive_buffer: Some(SMALL_BUFFER), ..small });

        let mut rng = StdRng::seed_from_u64(config.seed);
        let (mut clients, mut commands) = (JoinSet::new(), Vec::with_capacity(assignments.len()));
        for (((assignment, rooms), token), number) in assignments.iter().zip(&memberships).zip(tokens).zip(0..) {
            let index = commands.len();
            let sender =
                (!assignment.sends.is_empty()).then(|| Sender::new(number, assignment.sends.clone(), config.load));
            let mut member = Member::new(number, rooms, sender, Arc::clone(&shared));
            member.measured = !config.stuck.contains(&index);
            let settings = Arc::clone(if member.measured { &usual } else { &small });
            let (command, inbox) = mpsc::channel(4);
            let seed = rng.random();
            commands.push(command);
            clients.spawn(async move { client::run(settings, token, index, seed, &mut member, inbox).await });
        }
        let memberships = memberships.iter().map(Vec::len).sum();
        Self { shared, commands, clients, memberships }
    }

    /// Waits until every member is in its rooms; fails if that takes longer than [`JOIN_LIMIT`].
    pub async fn joined(&self) -> Result<()> {
        let deadline = Instant::now() + JOIN_LIMIT;
        loop {
            let joined = self.shared.figures.joined.load(Ordering::Relaxed);
            if joined >= u64::try_from(self.memberships)? {
                return Ok(());
            }
            if Instant::now() > deadline {
                let (errors, breaches) = (self.shared.errors.lock(), self.shared.breaches.lock());
                bail!("only {joined} of {} joins succeeded in time\n{errors:?}\n{breaches:?}", self.memberships);
            }
            sleep(CHECK_INTERVAL).await;
        }
    }

    /// Starts the senders.
    pub fn start_sending(&self) {
        self.shared.sending.store(true, Ordering::Relaxed);
    }

    /// Stops the senders and waits until all messages are acknowledged and all members have caught up. If that takes too
    /// long, returns the reason as text; the checker still judges the record.
    pub async fn settle(&self) -> Option<String> {
        self.shared.sending.store(false, Ordering::Relaxed);
        let mut deadline = Instant::now() + SETTLE_LIMIT;
        while self.shared.outstanding() > 0 {
            if Instant::now() > deadline {
                return Some(format!("{} messages were never acknowledged", self.shared.outstanding()));
            }
            sleep(CHECK_INTERVAL).await;
        }
        deadline = Instant::now() + SETTLE_LIMIT;
        loop {
            let behind = self.shared.behind();
            if behind.is_empty() {
                return None;
            }
            if Instant::now() > deadline {
                let membership = |(room, member): &(usize, u32)| {
                    format!("{} in {}", name(*member), self.shared.rooms[*room].lock().name)
                };
                let some = behind.iter().take(10).map(membership);
                let some = some.collect::<Vec<_>>().join(", ");
                return Some(format!("{} members never caught up in a room: {some}", behind.len()));
            }
            sleep(CHECK_INTERVAL).await;
        }
    }

    /// Ends the clients and returns their records.
    pub async fn stop(mut self) -> Arc<Shared> {
        self.clients.shutdown().await;
        self.shared
    }
}
