//! Servers and clients of a run, brought up, and brought to rest at its end.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    cast::{Part, Sizes, cast},
    client::{self, Command, Settings},
    fleet::{Fleet, Wanted},
    member::{Load, Member, Sender, user},
    record::Room,
    shared::Shared,
    token::token,
};
use crate::workdir::Workdir;

/// What a run is like.
pub struct Setting<'a> {
    /// Gateways.
    pub nodes: usize,
    /// With optimisations.
    pub release: bool,
    /// Settings of the gateways.
    pub set: Vec<String>,
    /// People.
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
/// Everything acknowledged; everybody caught up.
const SETTLE: Duration = Duration::from_secs(45);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Everything that runs.
pub struct Stage {
    /// Servers.
    pub fleet: Fleet,
    /// What clients write down.
    pub shared: Arc<Shared>,
    /// To each client, by number.
    pub commands: Vec<mpsc::Sender<Command>>,
    clients: JoinSet<()>,
    seats: usize,
}

impl Stage {
    /// Starts servers, then clients, and waits until every member is in its rooms.
    pub async fn set(setting: &Setting<'_>, workdir: &Workdir) -> Result<Self> {
        let secret = format!("{:032x}", rand::random::<u128>());
        let wanted =
            Wanted { nodes: setting.nodes, release: setting.release, set: setting.set.clone(), secret: &secret };
        let fleet = Fleet::start(&wanted, workdir).await?;
        let parts = cast(setting.sizes);
        let mut rooms: Vec<Vec<usize>> = vec![Vec::new(); setting.sizes.rooms];
        for (member, part) in parts.iter().enumerate() {
            part.rooms.iter().for_each(|room| rooms[*room].push(member));
        }
        let number = |member: &usize| u32::try_from(*member).unwrap_or(u32::MAX);
        let named = rooms
            .iter()
            .zip(0..)
            .map(|(members, index): (_, usize)| Room::new(format!("chaos-{index}"), members.iter().map(number)));
        let senders = setting.sizes.senders.min(setting.sizes.members);
        let shared = Shared::new(named.collect(), senders);
        let mut stage = Self { fleet, shared, commands: Vec::new(), clients: JoinSet::new(), seats: 0 };
        stage.enter(setting, &parts, &rooms, &secret)?;
        stage.gathered().await?;
        Ok(stage)
    }

    fn enter(&mut self, setting: &Setting<'_>, parts: &[Part], rooms: &[Vec<usize>], secret: &str) -> Result<()> {
        let mut rng = StdRng::seed_from_u64(setting.seed);
        let usual = Settings::new(self.fleet.ports(), Arc::clone(&self.shared.counters));
        let small = Settings::new(self.fleet.ports(), Arc::clone(&self.shared.counters));
        let (usual, small) = (Arc::new(usual), Arc::new(Settings { receive_buffer: Some(SMALL_BUFFER), ..small }));
        for (index, part) in parts.iter().enumerate() {
            let number = u32::try_from(index)?;
            let place = |room: &usize| (*room, rooms[*room].iter().position(|member| *member == index).unwrap_or(0));
            let seats: Vec<(usize, usize)> = part.rooms.iter().map(place).collect();
            self.seats += seats.len();
            let sender = (!part.sends.is_empty()).then(|| Sender::new(number, part.sends.clone(), setting.load));
            let mut member = Member::new(number, &seats, sender, Arc::clone(&self.shared));
            let stuck = setting.stuck.contains(&index);
            member.measured = !stuck;
            let settings = Arc::clone(if stuck { &small } else { &usual });
            let (commands, inbox) = mpsc::channel(4);
            let (token, seed) = (token(&user(number), secret)?, rng.random());
            self.commands.push(commands);
            self.clients.spawn(async move { client::run(settings, token, index, seed, &mut member, inbox).await });
        }
        Ok(())
    }

    async fn gathered(&mut self) -> Result<()> {
        let deadline = Instant::now() + GATHER;
        let wanted = u64::try_from(self.seats)?;
        loop {
            let joined = self.shared.figures.joined.load(Ordering::Relaxed);
            if joined >= wanted {
                return Ok(());
            }
            self.alive()?;
            if Instant::now() > deadline {
                let errors = self.shared.errors.lock().clone();
                let breaches = self.shared.breaches.lock().1.clone();
                bail!("only {joined} of {wanted} places in rooms were taken in time\n{errors:#?}\n{breaches:#?}");
            }
            sleep(LOOK).await;
        }
    }

    /// No server ended by itself.
    pub fn alive(&mut self) -> Result<()> {
        let deaths = self.fleet.deaths();
        ensure!(deaths.is_empty(), "{}", deaths.join("\n"));
        Ok(())
    }

    /// Senders begin.
    pub fn begin(&self) {
        self.shared.sending.store(true, Ordering::Relaxed);
    }

    /// Senders stop; waits until all is acknowledged and everybody has caught up. What is not so in time is the checker's to
    /// say, and a line of text here.
    pub async fn settle(&mut self) -> Result<Option<String>> {
        self.shared.sending.store(false, Ordering::Relaxed);
        let mut deadline = Instant::now() + SETTLE;
        while self.shared.outstanding() > 0 {
            self.alive()?;
            if Instant::now() > deadline {
                return Ok(Some(format!("{} messages were never acknowledged", self.shared.outstanding())));
            }
            sleep(LOOK).await;
        }
        deadline = Instant::now() + SETTLE;
        loop {
            let behind = self.shared.behind();
            if behind.is_empty() {
                return Ok(None);
            }
            self.alive()?;
            if Instant::now() > deadline {
                let shown = behind.iter().take(10).map(|(room, member)| format!("{} in {room}", user(*member)));
                let shown: Vec<String> = shown.collect();
                return Ok(Some(format!("{} members never caught up: {}", behind.len(), shown.join(", "))));
            }
            sleep(LOOK).await;
        }
    }

    /// Clients first, then servers. Gives what was written down.
    pub async fn strike(mut self) -> Arc<Shared> {
        self.clients.shutdown().await;
        self.fleet.stop().await;
        self.shared
    }
}
