//! Which fault comes when, and whom it meets: drawn from a seed, so that a run can be had again.

use std::{fmt, time::Duration};

use clap::ValueEnum;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

use super::proxy::Link;

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A gateway is killed by SIGKILL, and started again
    Kill,
    /// A gateway is told to end by SIGTERM: it sends its clients elsewhere, ends well, and is started again
    Leave,
    /// Redis ends the connections that are subscribed
    Pubsub,
    /// Redis ends all other connections
    Normal,
    /// Redis stands still for 5 s
    Pause,
    /// Redis is shut down and started again with its data
    Restart,
    /// The link between one gateway and Redis is cut, silently or by closing it, and mended
    Cut,
    /// A gateway stands still for 8 s
    Freeze,
    /// Redis is shut down and started again with nothing (resets are expected then)
    Wipe,
}

impl Kind {
    /// All that a run has unless told otherwise.
    pub const USUAL: [Self; 7] =
        [Self::Kill, Self::Pubsub, Self::Normal, Self::Pause, Self::Restart, Self::Cut, Self::Freeze];

    /// How long it lasts, in milliseconds, from and to.
    fn lasts(self, tempo: Tempo) -> (u64, u64) {
        match (self, tempo) {
            (Self::Pubsub | Self::Normal, _) => (0, 0),
            (Self::Kill, Tempo::Usual) => (1_000, 3_000),
            (Self::Kill, Tempo::Short) => (200, 800),
            // The window of such a run: see `fleet`.
            (Self::Leave, _) => (3_000, 3_000),
            (Self::Pause, Tempo::Usual) => (5_000, 5_000),
            // Longer than a gateway waits for an answer.
            (Self::Pause, Tempo::Short) => (2_500, 2_500),
            (Self::Restart | Self::Wipe, Tempo::Usual) => (300, 1_500),
            (Self::Restart | Self::Wipe, Tempo::Short) => (200, 500),
            (Self::Cut, Tempo::Usual) => (2_000, 4_000),
            (Self::Cut, Tempo::Short) => (1_000, 1_500),
            (Self::Freeze, Tempo::Usual) => (8_000, 8_000),
            // Longer than a lease of such a run: [`SHORT_LEASE`].
            (Self::Freeze, Tempo::Short) => (3_000, 3_000),
        }
    }

    /// Whether Redis was away, for all or for one: when it is back, deliveries go on within [`Tempo::again`].
    pub fn is_of_redis(self) -> bool {
        !matches!(self, Self::Kill | Self::Freeze)
    }

    /// What starting things again may take on top.
    fn aftermath(self) -> Duration {
        match self {
            Self::Kill | Self::Leave | Self::Restart | Self::Wipe => Duration::from_millis(1_500),
            _ => Duration::ZERO,
        }
    }
}

/// How long faults last, and how long it is quiet between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tempo {
    /// A minute has every kind.
    Usual,
    /// [`SHORT`] has every kind.
    Short,
}

/// Seconds in which a short run has every kind of fault once.
pub const SHORT: u64 = 19;
/// A gateway's lease in a short run, so that a short freeze costs it, as a setting.
pub const SHORT_LEASE: &str = "presence.lease=2s";

impl Tempo {
    /// Before the first.
    fn calm(self) -> Duration {
        Duration::from_millis(if self == Self::Usual { 3_000 } else { 1_000 })
    }

    /// After the last.
    pub fn after(self) -> Duration {
        Duration::from_millis(if self == Self::Usual { 5_000 } else { 3_000 })
    }

    /// Within so long of Redis's return everybody must have a delivery again: the promise, and twice that for a short run,
    /// which is for machines that do other things, too.
    pub fn again(self) -> Duration {
        Duration::from_secs(if self == Self::Usual { 5 } else { 10 })
    }

    /// Between two, in milliseconds.
    fn quiet(self) -> (u64, u64) {
        if self == Self::Usual { (1_500, 3_500) } else { (200, 600) }
    }
}

/// One that is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub kind: Kind,
    /// Number of the gateway that it meets; for Redis of no meaning.
    pub node: usize,
    /// How a link is cut.
    pub link: Link,
    /// After the start; later where the one before took longer than planned.
    pub at: Duration,
    /// Until it is mended.
    pub lasts: Duration,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (gateway, seconds) = (self.node + 1, self.lasts.as_secs_f64());
        match self.kind {
            Kind::Kill => write!(f, "gw{gateway} killed, started again after {seconds:.1} s"),
            Kind::Leave => write!(f, "gw{gateway} told to end, and started again"),
            Kind::Pubsub => write!(f, "Redis ends its pub/sub connections"),
            Kind::Normal => write!(f, "Redis ends its normal connections"),
            Kind::Pause => write!(f, "Redis stands still for {seconds:.1} s"),
            Kind::Restart => write!(f, "Redis shut down, started again after {seconds:.1} s"),
            Kind::Wipe => write!(f, "Redis shut down, started again EMPTY after {seconds:.1} s"),
            Kind::Cut if self.link == Link::Silent => {
                write!(f, "gw{gateway} and Redis silently apart for {seconds:.1} s")
            }
            Kind::Cut => write!(f, "gw{gateway} cut off from Redis for {seconds:.1} s"),
            Kind::Freeze => write!(f, "gw{gateway} stands still for {seconds:.1} s"),
        }
    }
}

/// Faults of these kinds, one after the other, each kind once before any comes again; as many as fit. The last gateway is the
/// one whose link can be cut.
pub fn plan(seed: u64, kinds: &[Kind], nodes: usize, within: Duration, tempo: Tempo) -> Vec<Fault> {
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
            let node = if *kind == Kind::Cut { nodes - 1 } else { node };
            let end = at + lasts + kind.aftermath();
            if end + tempo.after() > within {
                return plan;
            }
            plan.push(Fault { kind: *kind, node, link, at, lasts });
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
            let faults = plan(seed, &Kind::USUAL, nodes, within, tempo);
            prop_assert_eq!(&faults, &plan(seed, &Kind::USUAL, nodes, within, tempo));
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
            for (seconds, tempo) in [(60, Tempo::Usual), (SHORT, Tempo::Short)] {
                let faults = plan(seed, &Kind::USUAL, 3, Duration::from_secs(seconds), tempo);
                for kind in Kind::USUAL {
                    prop_assert!(faults.iter().any(|fault| fault.kind == kind), "{:?} in {:?}", kind, faults);
                }
            }
        }
    }

    #[test]
    fn no_kinds_no_faults() {
        assert!(plan(1, &[], 3, Duration::from_secs(60), Tempo::Usual).is_empty());
    }
}
