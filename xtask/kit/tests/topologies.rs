//! The topologies of Redis and what can be done to them; without `redis-server` these tests are left out.

#![expect(clippy::unwrap_used, reason = "tests may fail loudly")]

use std::{future::Future, io::Write as _, time::Duration};

use rustix::process::Signal;
use tokio::net::UnixListener;
use xtask_kit::{
    paths,
    ports::Ports,
    servers::redis::{
        Redis,
        topology::{Kind, SLOTS, Topology},
    },
    workdir::Workdir,
};

const LIMIT: Duration = Duration::from_secs(30);

struct Fixture {
    topology: Topology,
    _ports: Ports,
    _workdir: (Workdir, UnixListener),
}

/// None if its program is not installed.
async fn start(kind: Kind) -> Option<Fixture> {
    if paths::which(kind.program()).is_none() {
        // Written directly to standard error: the test harness hides the output of tests that pass.
        let _ = writeln!(std::io::stderr(), "skipped: {} is not installed", kind.program());
        return None;
    }
    let workdir = Workdir::create(&format!("test-{}-{kind}", std::process::id()), None).unwrap();
    let mut ports = Ports::new().unwrap();
    let topology = Topology::start(kind, &workdir.0, &mut ports).await.unwrap();
    Some(Fixture { topology, _ports: ports, _workdir: workdir })
}

async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let checks = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, checks).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// The only master, once there is one.
async fn only_master(topology: &Topology) -> usize {
    until("one master", || async { topology.masters().await.len() == 1 }).await;
    topology.masters().await[0]
}

/// Asks the node that has the key: the others answer with MOVED.
async fn with_key(nodes: &[Redis], command: &[&str]) -> String {
    for node in nodes {
        if let Ok(reply) = node.ask(command).await {
            return reply.text();
        }
    }
    panic!("no node takes {command:?}")
}

#[tokio::test]
async fn a_killed_redis_keeps_its_data_and_an_emptied_one_has_none() {
    let Some(mut fixture) = start(Kind::Several).await else { return };
    let topology = &mut fixture.topology;
    assert!(topology.find(None).is_err() && topology.find(Some("redis4")).is_err());
    for (empty, expected) in [(false, "1"), (true, "")] {
        let redis = topology.find(Some("redis2")).unwrap();
        redis.ask(&["SET", "key", "1"]).await.unwrap();
        redis.stop(Signal::KILL).await.unwrap();
        assert!(redis.ask(&["PING"]).await.is_err());
        topology.restart(Some("redis2"), empty).await.unwrap();
        assert_eq!(topology.nodes[1].ask(&["GET", "key"]).await.unwrap().text(), expected);
    }
}

#[tokio::test]
async fn sentinels_promote_a_replica_and_the_old_master_follows_it() {
    let Some(mut fixture) = start(Kind::Sentinel).await else { return };
    let topology = &mut fixture.topology;
    let first = only_master(topology).await;
    assert_eq!(topology.sentinels_master().await.unwrap(), first);
    topology.nodes[first].stop(Signal::KILL).await.unwrap();
    let second = only_master(topology).await;
    assert_ne!(first, second);
    let name = topology.nodes[first].name().to_owned();
    topology.restart(Some(&name), false).await.unwrap();
    topology.settle().await.unwrap();
    // On a busy machine the sentinels may have replaced the new master, too.
    let second = topology.sentinels_master().await.unwrap();
    assert_eq!(topology.masters().await, [second]);
    topology.fail_over(second).await.unwrap();
    until("another master", || async { topology.masters().await != [second] }).await;
    topology.settle().await.unwrap();
    assert_eq!(topology.masters().await, [topology.sentinels_master().await.unwrap()]);
}

#[tokio::test]
async fn slots_move_with_their_keys_and_replicas_take_over() {
    let Some(mut fixture) = start(Kind::Cluster).await else { return };
    let topology = &mut fixture.topology;
    assert_eq!(topology.masters().await, [0, 1, 2]);
    let names: Vec<String> = (0..300).map(|n| format!("key {n}")).collect();
    for name in &names {
        with_key(&topology.nodes, &["SET", name, name]).await;
    }
    let slot = with_key(&topology.nodes, &["CLUSTER", "KEYSLOT", &names[0]]).await.parse::<u16>().unwrap();
    assert!(slot < SLOTS);
    let used = topology.used_slots(0).await.unwrap();
    let moved = topology.move_slots(0, 2, &used[..40]).await.unwrap();
    assert!(moved.slots == 40 && moved.keys >= 40, "{moved:?}");
    topology.settle().await.unwrap();
    assert_eq!(topology.uneven().await.unwrap(), (2, 0));

    topology.fail_over(2).await.unwrap();
    until("its replica took over", || async { topology.masters().await == [0, 1, 5] }).await;
    topology.settle().await.unwrap();
    topology.nodes[5].stop(Signal::KILL).await.unwrap();
    until("its replica took over again", || async { topology.masters().await == [0, 1, 2] }).await;
    topology.restart(Some("redis6"), true).await.unwrap();
    topology.settle().await.unwrap();
    for name in &names {
        assert_eq!(with_key(&topology.nodes, &["GET", name]).await, *name);
    }
}
