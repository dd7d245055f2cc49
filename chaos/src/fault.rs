//! Plans a run's faults. Kinds, targets and times are drawn from a seed, so that a run can be repeated.

use std::{fmt, time::Duration};

use clap::ValueEnum;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use xtask_kit::servers::redis::topology::{Kind as Redis, Setup};

use super::proxy::Link;

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A gateway is killed by SIGKILL, and restarted
    Kill,
    /// A gateway gets SIGTERM: it drains, must exit with code 0, and is restarted
    Leave,
    /// Redis closes its subscribed connections
    Pubsub,
    /// Redis closes all other connections
    Normal,
    /// A Redis that takes writes is frozen for 5 s (2.5 s in a short run)
    Pause,
    /// All Redis are shut down, and restarted with their data
    Restart,
    /// A Redis that takes writes is killed by SIGKILL, and restarted with its data; if it has a replica, that one takes
    /// over first
    Master,
    /// The same, but it is back while its replica is just taking over: for a second, sentinels name the old one
    Return,
    /// A Redis that takes writes and all its replicas are killed by SIGKILL, and restarted with their data
    Shard,
    /// A replica takes over although its master is well
    Takeover,
    /// Sixteen slots of a Redis Cluster that are in use move to another master, key by key
    Slots,
    /// The links between one gateway and all Redis are cut, silently or by closing connections, and restored
    Cut,
    /// The link between one gateway and one Redis is cut, silently or by closing connections, and restored
    CutOne,
    /// A gateway is frozen for 8 s (3 s in a short run)
    Freeze,
    /// A Redis is shut down, and restarted without its data (resets are expected then)
    Wipe,
}

/// Whether a replica takes over from a master that is away.
fn has_replicas(redis: Redis) -> bool {
    matches!(redis, Redis::Sentinel | Redis::Cluster)
}

impl Kind {
    /// Kinds of faults of a run by default.
    pub fn usual(redis: Redis) -> &'static [Self] {
        match redis {
            Redis::Single | Redis::Valkey | Redis::Tls => {
                &[Self::Kill, Self::Pubsub, Self::Normal, Self::Pause, Self::Restart, Self::Cut, Self::Freeze]
            }
            Redis::Several => {
                &[Self::Kill, Self::Pubsub, Self::Normal, Self::Pause, Self::Restart, Self::Master, Self::CutOne]
            }
            Redis::Sentinel => &[Self::Kill, Self::Pubsub, Self::Master, Self::Takeover, Self::Cut],
            Redis::Cluster => {
                &[Self::Kill, Self::Pubsub, Self::Master, Self::Shard, Self::Takeover, Self::Slots, Self::CutOne]
            }
        }
    }

    /// Whether it can be injected there. Servers that name each other cannot be reached through links over TLS.
    pub fn fits(self, setup: Setup) -> bool {
        let redis = setup.kind;
        match self {
            Self::Cut | Self::CutOne => !(setup.tls && redis.names_servers()),
            Self::Takeover => has_replicas(redis),
            Self::Return => redis == Redis::Sentinel,
            Self::Slots => redis == Redis::Cluster,
            Self::Wipe => !has_replicas(redis),
            _ => true,
        }
    }

    /// Whether Redis may lose messages by it that it acknowledged as stored in its memory: replication is asynchronous.
    /// A replica of a Redis Cluster that takes over from a master that is well waits until it has everything.
    pub fn may_lose(self, redis: Redis) -> bool {
        match self {
            Self::Wipe => true,
            Self::Pause | Self::Restart | Self::Master | Self::Return | Self::Shard => has_replicas(redis),
            Self::Takeover => redis == Redis::Sentinel,
            _ => false,
        }
    }

    /// Shortest and longest duration, in milliseconds.
    fn lasts(self, tempo: Tempo) -> (u64, u64) {
        match (self, tempo) {
            (Self::Pubsub | Self::Normal | Self::Return | Self::Takeover | Self::Slots, _) => (0, 0),
            (Self::Kill, Tempo::Usual) => (1_000, 3_000),
            (Self::Kill, Tempo::Short) => (200, 800),
            // The gateways' drain window: see `fleet`.
            (Self::Leave, _) => (3_000, 3_000),
            (Self::Pause, Tempo::Usual) => (5_000, 5_000),
            // Longer than a gateway waits for Redis to answer.
            (Self::Pause, Tempo::Short) => (2_500, 2_500),
            (Self::Restart | Self::Wipe, Tempo::Usual) => (300, 1_500),
            (Self::Restart | Self::Wipe, Tempo::Short) => (200, 500),
            (Self::Master | Self::Shard, Tempo::Usual) => (1_000, 2_500),
            (Self::Master | Self::Shard, Tempo::Short) => (500, 1_000),
            (Self::Cut | Self::CutOne, Tempo::Usual) => (2_000, 4_000),
            (Self::Cut | Self::CutOne, Tempo::Short) => (1_000, 1_500),
            (Self::Freeze, Tempo::Usual) => (8_000, 8_000),
            // Longer than the lease of a short run: [`SHORT_LEASE`].
            (Self::Freeze, Tempo::Short) => (3_000, 3_000),
        }
    }

    /// Whether every member must have a delivery within [`Tempo::recovery_limit`] of the fault's end: after every fault
    /// that made Redis unreachable, for all gateways or for one, and after [`Kind::Leave`].
    pub fn must_recover_in_time(self) -> bool {
        !matches!(self, Self::Kill | Self::Freeze)
    }

    /// Planned time until all servers are well again, after the fault itself.
    fn restart_time(self, redis: Redis) -> Duration {
        Duration::from_millis(match self {
            Self::Pause | Self::Restart | Self::Master | Self::Return | Self::Shard | Self::Takeover
                if has_replicas(redis) =>
            {
                5_000
            }
            Self::Kill | Self::Leave | Self::Restart | Self::Wipe | Self::Master | Self::Shard => 1_500,
            Self::Slots => 2_500,
            _ => 0,
        })
    }
}

/// Length of the faults, and of the quiet times between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tempo {
    /// A minute is enough for every kind in [`Kind::usual`].
    Usual,
    /// [`SHORT`] seconds are enough for every kind in [`Kind::usual`] of one Redis.
    Short,
}

/// Seconds in which a short run over one Redis has every kind in [`Kind::usual`] at least once.
pub const SHORT: u64 = 19;
/// A setting of every gateway in a short run: a lease that expires even in a short freeze.
pub const SHORT_LEASE: &str = "presence.lease=2s";

impl Tempo {
    /// Time before the first fault.
    fn calm(self) -> Duration {
        Duration::from_millis(if self == Self::Usual { 3_000 } else { 1_000 })
    }

    /// Time after the last fault.
    pub fn after(self) -> Duration {
        Duration::from_millis(if self == Self::Usual { 5_000 } else { 3_000 })
    }

    /// Time within which every member must have a delivery after Redis is back: the promised 5 s, or twice that in a
    /// short run, because its machine may have other work.
    pub fn recovery_limit(self) -> Duration {
        Duration::from_secs(if self == Self::Usual { 5 } else { 10 })
    }

    /// Shortest and longest quiet time between two faults, in milliseconds.
    fn quiet(self) -> (u64, u64) {
        if self == Self::Usual { (1_500, 3_500) } else { (200, 600) }
    }
}

/// A planned fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    pub kind: Kind,
    /// Index of the gateway that it hits; unused for faults of Redis.
    pub node: usize,
    /// How a link is cut.
    pub link: Link,
    /// Chooses a Redis among those that it can hit.
    pub pick: usize,
    /// Time after the start; later if an earlier fault takes longer than planned.
    pub at: Duration,
    /// Time until it is reverted.
    pub lasts: Duration,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (gateway, seconds) = (self.node + 1, self.lasts.as_secs_f64());
        let link = if self.link == Link::Silent { "silent" } else { "closed" };
        match self.kind {
            Kind::Kill => write!(f, "gw{gateway} killed, restarted after {seconds:.1} s"),
            Kind::Leave => write!(f, "gw{gateway} drained and restarted"),
            Kind::Pubsub => write!(f, "Redis closed its pub/sub connections"),
            Kind::Normal => write!(f, "Redis closed its normal connections"),
            Kind::Pause => write!(f, "a Redis frozen for {seconds:.1} s"),
            Kind::Restart => write!(f, "Redis shut down, restarted after {seconds:.1} s"),
            Kind::Wipe => write!(f, "a Redis shut down, restarted EMPTY after {seconds:.1} s"),
            Kind::Master => write!(f, "a master killed, restarted after {seconds:.1} s or more"),
            Kind::Return => write!(f, "a master killed, restarted while a replica takes over"),
            Kind::Shard => write!(f, "a master and its replicas killed, restarted after {seconds:.1} s"),
            Kind::Takeover => write!(f, "a replica told to take over"),
            Kind::Slots => write!(f, "slots moved"),
            Kind::Cut => write!(f, "links of gw{gateway} to Redis {link} for {seconds:.1} s"),
            Kind::CutOne => write!(f, "link of gw{gateway} to one Redis {link} for {seconds:.1} s"),
            Kind::Freeze => write!(f, "gw{gateway} frozen for {seconds:.1} s"),
        }
    }
}

/// Plans faults of these kinds, one after the other, each kind once before any repeats, until one does not fit.
/// Only links of the last gateway can be cut.
pub fn plan(seed: u64, kinds: &[Kind], redis: Redis, nodes: usize, within: Duration, tempo: Tempo) -> Vec<Fault> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut plan = Vec::new();
    let (mut at, quiet) = (tempo.calm(), tempo.quiet());
    let mut turn = kinds.to_vec();
    while !kinds.is_empty() {
        turn.shuffle(&mut rng);
        for kind in &turn {
            let (shortest, longest) = kind.lasts(tempo);
            let lasts = Duration::from_millis(rng.random_range(shortest..=longest));
            let node = rng.random_range(0..nodes);
            let link = if rng.random() { Link::Silent } else { Link::Closed };
            let node = if matches!(kind, Kind::Cut | Kind::CutOne) { nodes - 1 } else { node };
            let pick = rng.random_range(0..1_000_000);
            let end = at + lasts + kind.restart_time(redis);
            if end + tempo.after() > within {
                return plan;
            }
            plan.push(Fault { kind: *kind, node, link, pick, at, lasts });
            at = end + Duration::from_millis(rng.random_range(quiet.0..=quiet.1));
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn faults_follow_each_other_and_leave_time_at_the_end(seed: u64, seconds in 5u64..200, nodes in 1usize..5, short: bool) {
            let within = Duration::from_secs(seconds);
            let tempo = if short { Tempo::Short } else { Tempo::Usual };
            let planned = || plan(seed, Kind::usual(Redis::Single), Redis::Single, nodes, within, tempo);
            let faults = planned();
            prop_assert_eq!(&faults, &planned());
            let mut free = tempo.calm();
            for fault in &faults {
                prop_assert!(fault.at >= free && fault.node < nodes);
                prop_assert!(fault.kind != Kind::Cut || fault.node == nodes - 1);
                free = fault.at + fault.lasts + Duration::from_millis(tempo.quiet().0);
                prop_assert!(fault.at + fault.lasts + tempo.after() <= within);
            }
        }

        #[test]
        fn a_minute_and_a_short_run_have_every_kind(seed: u64) {
            let minutes = Redis::value_variants().iter().map(|redis| (*redis, 60, Tempo::Usual));
            for (redis, seconds, tempo) in minutes.chain([(Redis::Single, SHORT, Tempo::Short)]) {
                let faults = plan(seed, Kind::usual(redis), redis, 3, Duration::from_secs(seconds), tempo);
                for kind in Kind::usual(redis) {
                    prop_assert!(kind.fits(redis.into()));
                    prop_assert!(faults.iter().any(|fault| fault.kind == *kind), "{:?} in {:?}", kind, faults);
                }
            }
        }
    }

    #[test]
    fn no_kinds_mean_no_faults() {
        assert!(plan(1, &[], Redis::Single, 3, Duration::from_secs(60), Tempo::Usual).is_empty());
    }
}
