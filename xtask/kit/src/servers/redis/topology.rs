//! Redis as people run it: one or several servers that serve one cluster of gateways together.
//!
//! Guarantees: [`Topology::start`] returns once all servers know each other; [`Topology::env`] has every setting that
//! leads a gateway there; control operations return once their effect has begun, and [`Topology::settle`] waits until
//! the topology is whole again.

use std::{fmt, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::{Config, Redis, cluster, sentinel, slots, tls, tls::Tls};
pub use super::{cluster::SLOTS, slots::Moved};
use crate::{ports::Ports, process::Server, workdir::Workdir};

/// The arrangements that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Kind {
    /// One Redis
    #[default]
    Single,
    /// One Redis with TLS, client certificates and a user with few permissions
    Tls,
    /// A master, two replicas and three sentinels
    Sentinel,
    /// Three Redis that know nothing of each other
    Several,
    /// A Redis Cluster of three masters and three replicas
    Cluster,
    /// One Valkey
    Valkey,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

impl Kind {
    /// The program that runs it.
    pub fn program(self) -> &'static str {
        if self == Self::Valkey { "valkey-server" } else { "redis-server" }
    }

    /// Whether its servers tell clients the addresses of others.
    pub fn names_servers(self) -> bool {
        matches!(self, Self::Sentinel | Self::Cluster)
    }
}

/// A topology to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Setup {
    /// The arrangement.
    pub kind: Kind,
    /// Every server has TLS, client certificates and a user with few permissions. [`Kind::Tls`] has them without this.
    pub tls: bool,
}

impl From<Kind> for Setup {
    fn from(kind: Kind) -> Self {
        Self { kind, tls: kind == Kind::Tls }
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.kind, if self.tls && self.kind != Kind::Tls { "-tls" } else { "" })
    }
}

/// Interval between two checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// All servers of a topology, running unless they were stopped.
pub struct Topology {
    /// The arrangement.
    pub kind: Kind,
    /// The servers that hold data.
    pub nodes: Vec<Redis>,
    /// Empty unless there are sentinels.
    pub sentinels: Vec<Redis>,
    /// Its certificates, if it has TLS.
    pub tls: Option<Tls>,
}

impl Topology {
    /// Starts all servers and waits until they know each other. Keep `ports` as long as it lives.
    pub async fn start(setup: impl Into<Setup>, workdir: &Workdir, ports: &mut Ports) -> Result<Self> {
        let Setup { kind, tls } = setup.into();
        let certificates = if tls || kind == Kind::Tls { Some(Tls::prepare(workdir).await?) } else { None };
        let tls = certificates.as_ref();
        let (mut nodes, mut sentinels) = (Vec::new(), Vec::new());
        match kind {
            Kind::Single | Kind::Tls | Kind::Valkey => {
                let config = Config { program: kind.program(), ..Config::of("redis", ports.reserve()?, tls) };
                nodes.push(Redis::start_as(workdir, config).await?);
            }
            Kind::Several => {
                for name in ["redis1", "redis2", "redis3"] {
                    nodes.push(Redis::start_as(workdir, Config::of(name, ports.reserve()?, tls)).await?);
                }
            }
            Kind::Sentinel => (nodes, sentinels) = sentinel::start(workdir, ports, tls).await?,
            Kind::Cluster => nodes = cluster::start(workdir, ports, tls).await?,
        }
        let topology = Self { kind, nodes, sentinels, tls: certificates };
        topology.settle().await?;
        Ok(topology)
    }

    /// The settings that lead a gateway here, as environment.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        self.env_through(|port| port)
    }

    /// The same for a gateway that reaches the server with some port at another one. Servers that name each other
    /// ([`Kind::names_servers`]) do it by their own ports.
    pub fn env_through(&self, port: impl Fn(u16) -> u16) -> Vec<(&'static str, String)> {
        let urls = || self.nodes.iter().map(|node| self.url_at(port(node.port))).collect::<Vec<_>>().join(",");
        let mut env = match self.kind {
            Kind::Single | Kind::Tls | Kind::Valkey => vec![("REDIS_URL", urls())],
            Kind::Several => vec![("REDIS_URLS", urls())],
            Kind::Cluster => vec![("REDIS_CLUSTER", "true".into()), ("REDIS_URLS", urls())],
            Kind::Sentinel => sentinel::env(&self.sentinels, self.tls.is_some(), port),
        };
        if let Some(tls) = &self.tls {
            env.extend(tls.env(self.kind == Kind::Cluster));
        }
        env
    }

    /// The URL of one of its servers, with the login for it.
    pub fn url(&self, node: &Redis) -> String {
        match (&self.tls, self.kind) {
            (Some(_), _) if self.sentinels.iter().any(|sentinel| sentinel.port == node.port) => {
                tls::url(tls::SENTINEL_LOGIN, tls::ADDRESS, node.port)
            }
            (None, Kind::Sentinel) => node.direct(),
            _ => self.url_at(node.port),
        }
    }

    fn url_at(&self, port: u16) -> String {
        match &self.tls {
            None => super::url(port),
            // The nodes of a Redis Cluster announce this name.
            Some(_) if self.kind == Kind::Cluster => tls::url(tls::LOGIN, tls::HOST, port),
            Some(_) => tls::url(tls::LOGIN, tls::ADDRESS, port),
        }
    }

    /// The URLs of the servers that hold data, for tests that look into them: with all permissions.
    pub fn direct(&self) -> String {
        self.nodes.iter().map(Redis::direct).collect::<Vec<_>>().join(",")
    }

    /// All servers, those that hold data first.
    pub fn all(&self) -> impl Iterator<Item = &Redis> {
        self.nodes.iter().chain(&self.sentinels)
    }

    /// The processes of all servers.
    pub fn servers(&mut self) -> impl Iterator<Item = &mut Server> {
        self.nodes.iter_mut().chain(&mut self.sentinels).map(|node| &mut node.server)
    }

    /// The server with that name; the only one needs none.
    pub fn find(&mut self, name: Option<&str>) -> Result<&mut Redis> {
        let names = self.all().map(Redis::name).collect::<Vec<_>>().join(", ");
        let one = self.all().count() == 1;
        let found = self.nodes.iter_mut().chain(&mut self.sentinels).find(|node| match name {
            Some(name) => node.name() == name,
            None => one,
        });
        found.with_context(|| match name {
            Some(name) => format!("no Redis `{name}`; there are {names}"),
            None => format!("several Redis run: name one of {names}"),
        })
    }

    /// Starts a stopped server again, with its data or empty; returns its process id.
    pub async fn restart(&mut self, name: Option<&str>, empty: bool) -> Result<u32> {
        let pid = self.find(name)?.restart(empty).await?;
        for sentinel in self.sentinels.iter().filter(|sentinel| sentinel.server.pid == pid) {
            sentinel::started(sentinel).await?;
        }
        Ok(pid)
    }

    /// Indices of a master and of the replicas that follow it.
    pub async fn shard_of(&self, master: usize) -> Result<Vec<usize>> {
        let mut shard = vec![master];
        for (index, node) in self.nodes.iter().enumerate().filter(|(index, _)| *index != master) {
            let role = node.ask(&["ROLE"]).await?;
            let follows =
                role.list().get(2).map(super::client::Reply::text) == Some(self.nodes[master].port.to_string());
            if follows && role.list()[0].text() == "slave" {
                shard.push(index);
            }
        }
        Ok(shard)
    }

    /// Indices of the nodes that take writes, by their own word. Servers that do not answer are left out. During a
    /// failover there may be none, or two.
    pub async fn masters(&self) -> Vec<usize> {
        let mut masters = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let role = node.ask(&["ROLE"]).await;
            let is_master = role.is_ok_and(|role| role.list().first().is_some_and(|role| role.text() == "master"));
            let serves = is_master
                && match self.kind {
                    Kind::Cluster => cluster::slots(node).await.is_ok_and(|slots| !slots.is_empty()),
                    _ => true,
                };
            if serves {
                masters.push(index);
            }
        }
        masters
    }

    /// The node that all sentinels name as the master; fails while they do not agree.
    pub async fn sentinels_master(&self) -> Result<usize> {
        let mut named = Vec::new();
        for sentinel in &self.sentinels {
            let answer = sentinel.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", sentinel::MASTER]).await?;
            named.push(answer.list().get(1).map(super::client::Reply::text).unwrap_or_default());
        }
        let port = named.first().context("there are no sentinels")?;
        ensure!(named.iter().all(|other| other == port), "the sentinels name {named:?}");
        let index = self.nodes.iter().position(|node| node.port.to_string() == *port);
        index.context("the sentinels name an unknown master")
    }

    /// Begins a failover although the master is well.
    pub async fn fail_over(&self, master: usize) -> Result<()> {
        match self.kind {
            Kind::Sentinel => sentinel::fail_over(&self.sentinels).await,
            Kind::Cluster => cluster::fail_over(&self.nodes, &self.nodes[master]).await,
            kind => bail!("nothing takes over in the topology {kind}"),
        }
    }

    /// The slots of a Redis Cluster in which this master has keys, in order.
    pub async fn used_slots(&self, master: usize) -> Result<Vec<u16>> {
        slots::used(&self.nodes[master], &cluster::slots(&self.nodes[master]).await?).await
    }

    /// Moves slots from one master of a Redis Cluster to another, and waits until all nodes know. Each slot costs every
    /// master a write to its disk.
    pub async fn move_slots(&self, from: usize, to: usize, slots: &[u16]) -> Result<Moved> {
        ensure!(self.kind == Kind::Cluster, "only a Redis Cluster has slots");
        let masters: Vec<&Redis> = self.masters().await.into_iter().map(|index| &self.nodes[index]).collect();
        let moved = slots::move_slots(&masters, &self.nodes[from], &self.nodes[to], slots).await?;
        slots::known(&self.nodes, &self.nodes[from], slots).await?;
        Ok(moved)
    }

    /// The masters of a Redis Cluster with the most and the fewest slots.
    pub async fn uneven(&self) -> Result<(usize, usize)> {
        let mut counts = Vec::new();
        for master in self.masters().await {
            counts.push((cluster::count(&cluster::slots(&self.nodes[master]).await?), master));
        }
        counts.sort_unstable();
        match (counts.last(), counts.first()) {
            (Some((_, most)), Some((_, fewest))) if most != fewest => Ok((*most, *fewest)),
            _ => bail!("{} masters", counts.len()),
        }
    }

    /// Waits until it is whole: all servers answer, and replicas follow their masters.
    pub async fn settle(&self) -> Result<()> {
        let deadline = Instant::now() + sentinel::SETTLED.max(cluster::SETTLED);
        loop {
            match self.check().await {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error.context("the Redis are not whole")),
                Err(_) => sleep(CHECK_INTERVAL).await,
            }
        }
    }

    async fn check(&self) -> Result<()> {
        for node in self.all() {
            node.ask(&["PING"]).await?;
        }
        match self.kind {
            Kind::Sentinel => sentinel::check(&self.nodes, &self.sentinels).await,
            Kind::Cluster => cluster::check(&self.nodes).await,
            _ => Ok(()),
        }
    }

    /// Ends all of them.
    pub async fn stop(&mut self, limit: Duration) {
        self.servers().for_each(|server| server.signal(Signal::TERM));
        for server in self.servers() {
            server.stop(Signal::TERM, limit).await;
        }
    }
}
