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
    time::{sleep, timeout},
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
#[derive(Clone, Copy, Default)]
pub struct ClientConfig {
    pub sizes: Sizes,
    /// Load of each sender.
    pub load: Load,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// A member whose deliveries do not count in the latency, and whose socket has a small receive buffer.
    pub stuck: Option<usize>,
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
    pub fn start(config: &ClientConfig, nodes: &[String], users: Vec<User>) -> Self {
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

        let mut rng = StdRng::seed_from_u64(config.seed);
        let (mut clients, mut commands) = (JoinSet::new(), Vec::with_capacity(assignments.len()));
        for (((assignment, rooms), token), number) in assignments.iter().zip(&memberships).zip(tokens).zip(0..) {
            let index = commands.len();
            let stuck = config.stuck == Some(index);
            let sends = assignment.sends.clone();
            let sender = (!sends.is_empty()).then(|| Sender::new(number, sends, config.load));
            let mut member = Member::new(number, rooms, sender, Arc::clone(&shared));
            member.measured = !stuck;
            let settings = Settings {
                nodes: nodes.to_vec(),
                receive_buffer: stuck.then_some(SMALL_BUFFER),
                // Every second one: both ways back are tried.
                recovers: number % 2 == 1,
                figures: Arc::clone(&shared.figures),
            };
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
        let joined = || self.shared.figures.lock().joined;
        if !within(JOIN_LIMIT, || joined() >= self.memberships).await {
            let (errors, breaches) = (self.shared.errors.lock(), self.shared.breaches.lock());
            bail!("only {} of {} joins succeeded in time\n{errors:?}\n{breaches:?}", joined(), self.memberships);
        }
        Ok(())
    }

    /// Starts the senders.
    pub fn start_sending(&self) {
        self.shared.sending.store(true, Ordering::Relaxed);
    }

    /// Stops the senders and waits until all messages are acknowledged and all members have caught up. If that takes too
    /// long, returns the reason as text; the checker still judges the record.
    pub async fn settle(&self) -> Option<String> {
        self.shared.sending.store(false, Ordering::Relaxed);
        if !within(SETTLE_LIMIT, || self.shared.outstanding() == 0).await {
            return Some(format!("{} messages were never acknowledged", self.shared.outstanding()));
        }
        if within(SETTLE_LIMIT, || self.shared.behind().is_empty()).await {
            return None;
        }
        let behind = self.shared.behind();
        let membership =
            |(room, member): &(usize, u32)| format!("{} in {}", name(*member), self.shared.rooms[*room].lock().name);
        let some = behind.iter().take(10).map(membership).collect::<Vec<_>>().join(", ");
        Some(format!("{} members never caught up in a room: {some}", behind.len()))
    }

    /// Ends the clients and returns their records.
    pub async fn stop(mut self) -> Arc<Shared> {
        self.clients.shutdown().await;
        self.shared
    }
}

/// Waits until the condition holds, at most for that time; returns whether it does.
async fn within(limit: Duration, holds: impl Fn() -> bool) -> bool {
    let checks = async {
        while !holds() {
            sleep(CHECK_INTERVAL).await;
        }
    };
    timeout(limit, checks).await.is_ok()
}
