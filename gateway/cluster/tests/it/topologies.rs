//! Servers of our own, and a node that uses them: for tests that kill, freeze or move.

use std::time::{Duration, Instant};

use jackfield_cluster::{
    RedisSettings,
    ids::random_id,
    log::{Durability, Position, Range},
    over_redis,
    room_name::RoomName,
};
use jackfield_shared::lifecycle::Lifecycle;
use tokio::net::UnixListener;
use xtask_kit::{
    paths,
    ports::Ports,
    servers::redis::topology::{Kind, Topology},
    workdir::Workdir,
};

use crate::fixture::{Node, TERMS, until};

/// Dropping it ends the servers and the nodes.
pub struct Servers {
    pub topology: Topology,
    pub node: Node,
    lifecycle: Lifecycle,
    _ports: Ports,
    _workdir: (Workdir, UnixListener),
}

impl Servers {
    /// None if `redis-server` is not installed.
    pub async fn start(kind: Kind) -> Option<Self> {
        if paths::which(kind.program()).is_none() {
            eprintln!("skipped: {} is not installed", kind.program());
            return None;
        }
        let workdir = Workdir::create(&format!("test-failover-{}", random_id()), None).unwrap();
        let mut ports = Ports::new().unwrap();
        let topology = Topology::start(kind, &workdir.0, &mut ports).await.unwrap();
        let lifecycle = Lifecycle::new();
        let node = node(&topology, &lifecycle);
        Some(Self { topology, node, lifecycle, _ports: ports, _workdir: workdir })
    }

    /// One more node over the same servers.
    pub fn join(&self) -> Node {
        node(&self.topology, &self.lifecycle)
    }

    /// The only master.
    pub async fn master(&self) -> usize {
        let topology = &self.topology;
        until("one master", || async move {
            match topology.masters().await.as_slice() {
                [one] => Some(*one),
                _ => None,
            }
        })
        .await
    }

    /// Appends one after the other, each until it succeeds. Returns their positions, and the longest pause.
    pub async fn append(&self, count: usize, seen: &mut Option<Position>) -> (Vec<Position>, Duration) {
        let (mut positions, mut longest, mut last) = (Vec::new(), Duration::ZERO, Instant::now());
        for _ in 0..count {
            let key = random_id();
            let position = loop {
                match self.node.cluster.log.append(&room(), "text", Some(&key), *seen, Durability::Memory).await {
                    Ok(appended) => break appended.position,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            };
            longest = longest.max(last.elapsed());
            last = Instant::now();
            positions.push(position);
            *seen = Some(position);
        }
        (positions, longest)
    }

    /// Like [`Servers::append`], for so long and until there is one master.
    pub async fn append_during(&self, time: Duration, seen: &mut Option<Position>) -> (Vec<Position>, Duration) {
        let (mut positions, mut longest, began) = (Vec::new(), Duration::ZERO, Instant::now());
        while began.elapsed() < time || self.topology.masters().await.len() != 1 {
            let (more, pause) = self.append(1, seen).await;
            positions.extend(more);
            longest = longest.max(pause);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        (positions, longest)
    }

    /// All of these are there, and nothing else after the first of them.
    pub async fn has_all(&self, positions: &[Position]) {
        let (first, last) = (positions[0], positions[positions.len() - 1]);
        let page =
            self.node.cluster.log.read(&room(), Range::After(first.number - 1), 1_000, Some(last)).await.unwrap();
        let stored: Vec<_> = page.messages.iter().map(|message| message.position.number).collect();
        assert_eq!(page.end.epoch, last.epoch);
        assert_eq!(stored, positions.iter().map(|position| position.number).collect::<Vec<_>>());
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

pub fn room() -> RoomName {
    RoomName::parse(&"/".into(), "r").unwrap()
}

fn node(topology: &Topology, lifecycle: &Lifecycle) -> Node {
    let id = random_id().as_str().into();
    let redis = settings(topology.env()).topology().unwrap();
    let (cluster, events) = over_redis(redis, "test", &id, TERMS, lifecycle);
    Node { id, cluster, events }
}

fn settings(env: Vec<(&'static str, String)>) -> RedisSettings {
    let mut settings = RedisSettings::default();
    for (name, value) in env {
        match name {
            "REDIS_URL" => settings.url = value,
            "REDIS_URLS" => settings.urls = value.split(',').map(str::to_owned).collect(),
            "REDIS_CLUSTER" => settings.cluster = value == "true",
            "REDIS_SENTINELS" => settings.sentinels = value.split(',').map(str::to_owned).collect(),
            "REDIS_MASTER" => settings.master = value,
            other => panic!("{other}"),
        }
    }
    settings
}
