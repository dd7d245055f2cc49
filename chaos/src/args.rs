//! Command line options, and the sizes that follow from them.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use xtask_kit::servers::redis::topology::{Kind as Redis, Setup};

use super::{
    assignment::Sizes,
    checker::Rules,
    fault::{self, Kind, Tempo},
    member::Load,
};

/// Faults and load of a run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Many senders while one fault follows another
    Storm,
    /// 1,000 clients that lose their connections at random
    Flaky,
    /// One client that stops reading while its room gets 50,000 messages
    Slow,
}

/// The meaning of an acknowledgement.
#[derive(Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Durable {
    #[default]
    Memory,
    Replica,
    Disk,
}

impl Durable {
    /// The rule for all rooms; none for the default.
    fn rule(self) -> Option<&'static str> {
        match self {
            Self::Memory => None,
            Self::Replica => Some("*;durable=replica"),
            Self::Disk => Some("*;durable=disk"),
        }
    }
}

/// Options of `cargo xtask chaos` that this program does not get.
const AFTER_HELP: &str = "cargo xtask builds this program and the gateway first, with two options of its own:
      --release   Build with optimisations
      --no-build  Use the programs of the last build";

/// The options, as given.
#[derive(Parser)]
#[command(
    name = "chaos",
    bin_name = "cargo xtask chaos",
    about = "Tests that rooms lose nothing while gateways, Redis and connections fail"
)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Scenario to run
    #[arg(long, value_enum, default_value_t = Scenario::Storm)]
    pub scenario: Scenario,
    /// Every kind of fault in a third of the time: shorter faults and fewer clients
    #[arg(long)]
    short: bool,
    /// Inject no faults and start no servers: run the members against the cluster at this http:// URL, where they
    /// register as users; you may kill, drain and scale its gateways meanwhile
    #[arg(long, conflicts_with_all = ["scenario", "short", "redis", "tls", "durable", "nodes", "faults", "calm", "set", "logs", "self_test"])]
    pub url: Option<String>,
    /// The URL is not on this machine, and I may load what is there
    #[arg(long, requires = "url")]
    pub i_own_the_target: bool,
    /// How long senders send [default: 60, or 19 with --short]
    #[arg(long)]
    seconds: Option<u64>,
    /// Seed of faults, targets and times [default: random, and printed]
    #[arg(long)]
    pub seed: Option<u64>,
    /// The Redis of the gateways: one, or several together
    #[arg(long, value_enum, default_value_t)]
    pub redis: Redis,
    /// The Redis have TLS, client certificates and a user with few permissions
    #[arg(long)]
    tls: bool,
    /// The meaning of an acknowledgement in all rooms: the message is in the memory of a Redis, a replica has it, or it is on
    /// disk. With `memory`, messages may be lost when a replica takes over
    #[arg(long, value_enum, default_value_t)]
    durable: Durable,
    /// Number of gateways
    #[arg(long, default_value_t = 3)]
    pub nodes: usize,
    /// Number of rooms [default: 30, or 10 with --short, or 6 with --url]
    #[arg(long)]
    rooms: Option<usize>,
    /// Number of members, spread over rooms and gateways [default: 300, or 60 with --short or --url]
    #[arg(long)]
    members: Option<usize>,
    /// How many of the members send [default: 20, or 10 with --short, or 12 with --url]
    #[arg(long)]
    senders: Option<usize>,
    /// Outstanding messages per sender
    #[arg(long, default_value_t = 4)]
    pub window: usize,
    /// Messages per second and sender; 0: as fast as they are acknowledged (a node may then miss more messages than a
    /// room keeps) [default: 120, or 40 with --short, or 10 with --url]
    #[arg(long)]
    rate: Option<u32>,
    /// Characters per message
    #[arg(long, default_value_t = 64)]
    pub length: usize,
    /// Kinds of faults; each occurs once before any occurs again [default: those that fit the Redis and a minute]
    #[arg(long, value_enum, value_delimiter = ',')]
    faults: Vec<Kind>,
    /// Inject no faults
    #[arg(long)]
    calm: bool,
    /// Messages that the gateways keep for each room: a member that missed more may get a reset
    #[arg(long, default_value_t = 1_000)]
    pub kept: usize,
    /// A setting of every gateway (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print the figures as one line of JSON
    #[arg(long)]
    pub json: bool,
    /// Keep the log files of the servers, in this folder
    #[arg(long, value_name = "FOLDER")]
    pub logs: Option<PathBuf>,
    /// Damage a scripted run in known ways and check that the checker finds the damage; starts no servers
    #[arg(long)]
    pub self_test: bool,
}

/// Defaults of a kind of run.
struct Preset {
    sizes: Sizes,
    rate: u32,
}

const USUAL: Preset = Preset { sizes: Sizes { rooms: 30, members: 300, senders: 20 }, rate: 120 };
const SHORT: Preset = Preset { sizes: Sizes { rooms: 10, members: 60, senders: 10 }, rate: 40 };
/// Below the limits that a gateway and an auth service have by default, except for registrations by address.
const EXTERNAL: Preset = Preset { sizes: Sizes { rooms: 6, members: 60, senders: 12 }, rate: 10 };

impl Args {
    fn preset(&self) -> &'static Preset {
        match (&self.url, self.short) {
            (Some(_), _) => &EXTERNAL,
            (None, true) => &SHORT,
            (None, false) => &USUAL,
        }
    }

    /// Fails if the sizes contradict each other.
    pub fn check(&self) -> Result<()> {
        let Sizes { rooms, members, senders } = self.sizes();
        ensure!(self.nodes > 0 && rooms > 0 && self.window > 0, "--nodes, --rooms and --window must be at least 1");
        ensure!(members >= rooms.max(senders), "--members must be at least --rooms and at least --senders");
        for kind in self.faults() {
            ensure!(kind.fits(self.setup()), "--faults: {kind:?} does not fit --redis {}", self.setup());
        }
        Ok(())
    }

    pub fn sizes(&self) -> Sizes {
        let Sizes { rooms, members, senders } = self.preset().sizes;
        Sizes {
            rooms: self.rooms.unwrap_or(rooms),
            members: self.members.unwrap_or(members),
            senders: self.senders.unwrap_or(senders),
        }
    }

    /// Messages per second and sender; 0: as fast as they are acknowledged.
    pub fn rate(&self) -> u32 {
        self.rate.unwrap_or(self.preset().rate)
    }

    pub fn load(&self) -> Load {
        let every = (self.rate() > 0).then(|| Duration::from_secs(1) / self.rate());
        Load { window: self.window, every, length: self.length }
    }

    /// The Redis to start.
    pub fn setup(&self) -> Setup {
        Setup { kind: self.redis, tls: self.tls }
    }

    /// Kinds of faults to inject.
    pub fn faults(&self) -> Vec<Kind> {
        let usual = || Kind::usual(self.redis).iter().copied().filter(|kind| kind.fits(self.setup()));
        match (self.calm, &self.faults[..]) {
            (true, _) => Vec::new(),
            (false, []) => usual().collect(),
            (false, given) => given.to_vec(),
        }
    }

    /// The losses that the checker has to allow for.
    pub fn rules(&self) -> Rules {
        let may_lose = self.faults().iter().any(|kind| kind.may_lose(self.redis));
        let wiped = self.faults().contains(&Kind::Wipe);
        let may_vanish = wiped || (may_lose && self.durable == Durable::Memory);
        Rules { kept: self.kept, kept_data: !may_lose, may_vanish, ..Rules::default() }
    }

    pub fn tempo(&self) -> Tempo {
        if self.short { Tempo::Short } else { Tempo::Usual }
    }

    /// How long senders send.
    pub fn time(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(if self.short { fault::SHORT } else { 60 }))
    }

    /// Arguments that, with any others that were given, produce the same faults again.
    pub fn again(&self, seed: u64) -> String {
        let short = if self.short { "--short " } else { "" };
        let redis = if self.redis == Redis::Single { String::new() } else { format!("--redis {} ", self.redis) };
        let tls = if self.tls { "--tls " } else { "" };
        format!("{short}{redis}{tls}--seed {seed}")
    }

    /// Settings of every gateway. Limits of events and stored bytes are off, so that senders are not slowed down.
    /// `roster.max` is low: the roster is not under test, and its lists, sent to everybody at every reconnect, would be
    /// most of the traffic.
    pub fn settings(&self) -> Vec<String> {
        let own = ["limits.eventRate=0", "limits.userBytes=0", "roster.max=50"].map(String::from);
        let lease = self.short.then(|| fault::SHORT_LEASE.to_owned());
        let durable = self.durable.rule().map(|rule| format!("rooms.rules={rule}"));
        own.into_iter().chain(lease).chain(durable).chain(self.set.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(given: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(["chaos"].iter().chain(given))
    }

    fn sizes(given: &[&str]) -> (usize, usize, usize, u32) {
        let args = args(given).unwrap();
        let Sizes { rooms, members, senders } = args.sizes();
        (rooms, members, senders, args.rate())
    }

    #[test]
    fn each_kind_of_run_has_sizes_of_its_own_and_options_override_them() {
        assert_eq!(sizes(&[]), (30, 300, 20, 120));
        assert_eq!(sizes(&["--short"]), (10, 60, 10, 40));
        assert_eq!(sizes(&["--url", "http://localhost:1"]), (6, 60, 12, 10));
        assert_eq!(sizes(&["--short", "--rooms", "4", "--rate", "0"]), (4, 60, 10, 0));
    }

    #[test]
    fn contradictions_are_refused() {
        assert!(args(&[]).unwrap().check().is_ok());
        assert!(args(&["--rooms", "3", "--members", "2"]).unwrap().check().is_err());
        assert!(args(&["--window", "0"]).unwrap().check().is_err());
        assert!(args(&["--url", "http://localhost:1", "--faults", "kill"]).is_err());
        assert!(args(&["--i-own-the-target"]).is_err());
        assert!(args(&["--faults", "slots"]).unwrap().check().is_err());
        assert!(args(&["--faults", "slots", "--redis", "cluster"]).unwrap().check().is_ok());
        assert!(args(&["--tls", "--redis", "cluster"]).unwrap().check().is_ok());
        assert!(args(&["--tls", "--redis", "cluster", "--faults", "cut"]).unwrap().check().is_err());
        assert!(args(&["--tls", "--redis", "several", "--faults", "cut"]).unwrap().check().is_ok());
    }

    #[test]
    fn only_a_failover_excuses_losses_and_only_of_what_one_server_had() {
        let rules = |given: &[&str]| {
            let Rules { kept_data, may_vanish, .. } = args(given).unwrap().rules();
            (kept_data, may_vanish)
        };
        assert_eq!(rules(&[]), (true, false));
        assert_eq!(rules(&["--redis", "several"]), (true, false));
        assert_eq!(rules(&["--faults", "wipe", "--durable", "replica"]), (false, true));
        assert_eq!(rules(&["--redis", "sentinel"]), (false, true));
        assert_eq!(rules(&["--redis", "sentinel", "--durable", "replica"]), (false, false));
        assert_eq!(rules(&["--redis", "cluster", "--faults", "slots,takeover,kill"]), (true, false));
    }
}
