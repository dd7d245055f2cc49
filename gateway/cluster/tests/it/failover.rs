//! A master that sentinels keep is killed, replaced, or frozen while messages are appended.

use std::time::{Duration, Instant};

use jackfield_cluster::{
    RedisSettings,
    bus::Channel,
    ids::random_id,
    log::{Durability, Position, Range},
    over_redis,
    room_name::RoomName,
    wire::BusMessage,
};
use jackfield_shared::lifecycle::Lifecycle;
use rustix::process::Signal;
use tokio::net::UnixListener;
use xtask_kit::{
    paths,
    ports::Ports,
    servers::redis::topology::{Kind, Topology},
    workdir::Workdir,
};

use crate::fixture::{Node, TERMS, until};

/// The longest time without an append: the sentinels need 1 s to notice, and some time to agree.
const GAP: Duration = Duration::from_secs(10);
const APPENDS: usize = 200;
/// Longer than the sentinels need to choose another master. When it is over, the former one calls itself a master until
/// they tell it otherwise.
const FROZEN: Duration = Duration::from_secs(6);

struct Fixture {
    topology: Topology,
    node: Node,
    lifecycle: Lifecycle,
    _ports: Ports,
    _workdir: (Workdir, UnixListener),
}

impl Fixture {
    /// None if `redis-server` is not installed.
    async fn start() -> Option<Self> {
        let kind = Kind::Sentinel;
        if paths::which(kind.program()).is_none() {
            eprintln!("skipped: {} is not installed", kind.program());
            return None;
        }
        let workdir = Workdir::create(&format!("test-failover-{}", random_id()), None).unwrap();
        let mut ports = Ports::new().unwrap();
        let topology = Topology::start(kind, &workdir.0, &mut ports).await.unwrap();
        let lifecycle = Lifecycle::new();
        let id = random_id().as_str().into();
        let redis = settings(topology.env()).topology().unwrap();
        let (cluster, events) = over_redis(redis, "test", &id, TERMS, &lifecycle);
        Some(Self { topology, node: Node { id, cluster, events }, lifecycle, _ports: ports, _workdir: workdir })
    }

    /// The only master.
    async fn master(&self) -> usize {
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
    async fn append(&self, count: usize, seen: &mut Option<Position>) -> (Vec<Position>, Duration) {
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

    /// Like [`Fixture::append`], for so long and until there is one master.
    async fn append_during(&self, time: Duration, seen: &mut Option<Position>) -> (Vec<Position>, Duration) {
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
    async fn has_all(&self, positions: &[Position]) {
        let (first, last) = (positions[0], positions[positions.len() - 1]);
        let page =
            self.node.cluster.log.read(&room(), Range::After(first.number - 1), 1_000, Some(last)).await.unwrap();
        let stored: Vec<_> = page.messages.iter().map(|message| message.number).collect();
        assert_eq!(page.end.epoch, last.epoch);
        assert_eq!(stored, positions.iter().map(|position| position.number).collect::<Vec<_>>());
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

fn room() -> RoomName {
    RoomName::parse(&"/".into(), "r").unwrap()
}

fn settings(env: Vec<(&'static str, String)>) -> RedisSettings {
    let mut settings = RedisSettings::default();
    for (name, value) in env {
        match name {
            "REDIS_URL" => settings.url = value,
            "REDIS_SENTINELS" => settings.sentinels = value.split(',').map(str::to_owned).collect(),
            "REDIS_MASTER" => settings.master = value,
            other => panic!("{other}"),
        }
    }
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_master_costs_seconds() {
    let Some(mut fixture) = Fixture::start().await else { return };
    let mut seen = None;
    fixture.append(APPENDS, &mut seen).await;
    let before = fixture.master().await;
    fixture.topology.nodes[before].stop(Signal::KILL).await.unwrap();
    let (positions, gap) = fixture.append(APPENDS, &mut seen).await;
    eprintln!("killed: nothing was appended for {gap:?}");
    assert!(gap < GAP, "{gap:?}");
    assert_ne!(fixture.master().await, before);
    fixture.has_all(&positions).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_master_costs_seconds_and_subscriptions_move() {
    let Some(mut fixture) = Fixture::start().await else { return };
    let channel = Channel::Room(room());
    fixture.node.subscribe(std::slice::from_ref(&channel)).await;
    let mut seen = None;
    fixture.append(APPENDS, &mut seen).await;
    let before = fixture.master().await;
    fixture.topology.fail_over(before).await.unwrap();
    let mut gap = Duration::ZERO;
    while fixture.topology.sentinels_master().await.unwrap() == before || fixture.topology.masters().await.len() != 1 {
        gap = gap.max(fixture.append(10, &mut seen).await.1);
    }
    gap = gap.max(fixture.append(APPENDS, &mut seen).await.1);
    eprintln!("replaced: nothing was appended for {gap:?}");
    assert!(gap < GAP, "{gap:?}");
    let position = fixture.append(1, &mut seen).await.0[0];
    let heard = async {
        loop {
            match fixture.node.next_message().await {
                BusMessage::Message { position: heard, .. } if heard == position => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(GAP, heard).await.expect("messages are heard again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_master_that_comes_back_is_not_used() {
    let Some(fixture) = Fixture::start().await else { return };
    let mut seen = None;
    fixture.append(APPENDS, &mut seen).await;
    let before = fixture.master().await;
    let (thawed, (positions, gap)) = tokio::join!(
        fixture.topology.nodes[before].server.freeze(FROZEN),
        fixture.append_during(FROZEN * 2, &mut seen)
    );
    thawed.unwrap();
    eprintln!("frozen: nothing was appended for {gap:?}");
    assert!(gap < GAP, "{gap:?}");
    assert_ne!(fixture.master().await, before);
    fixture.has_all(&positions).await;
}
