//! A node with 2,000 channels whose servers are killed and replaced, and whose partitions move. After each fault the node
//! hears every channel again within [`AGAIN_WITHIN`], has a gap for each message that it missed, and hears none twice.
//!
//! The node is one that a gateway would start. [`publisher`]: messages, past the gateway's own routing ·
//! [`heard`]: what the node was told · [`world`]: both, and the servers · [`starts`]: a node that starts while a server is
//! away.

mod heard;
mod publisher;
mod starts;
mod world;

use std::time::Duration;

use jackfield_cluster::partition::{Partition, PartitionSet};
use rustix::process::Signal;
use tokio::time::{sleep, timeout};
use xtask_kit::servers::redis::topology::{Kind, Topology};

use self::world::World;

/// Longest time until everything is heard again, after the servers are whole enough to serve all partitions.
const AGAIN_WITHIN: Duration = Duration::from_secs(5);
const CHANNELS: usize = 2_000;
/// The longest time that servers may need to elect a master.
const ELECTED: Duration = Duration::from_secs(30);

async fn kill_subscriptions(topology: &mut Topology) {
    for node in &topology.nodes {
        node.kill_connections("pubsub").await.unwrap();
    }
}

/// Waits until these nodes serve all slots of a Redis Cluster.
async fn are_masters(topology: &Topology, expected: [usize; 3]) {
    let waiting = async {
        while topology.masters().await != expected {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(ELECTED, waiting).await.expect("replicas are promoted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_cluster_is_heard_again_whatever_happens() {
    let Some(mut world) = World::start(Kind::Cluster).await else { return };
    let all = world.disturb("all subscriptions killed", kill_subscriptions).await;
    assert_eq!(all, PartitionSet::ALL);

    let partitions = [0, 1].map(|number| Partition::new(number).unwrap());
    let moves = async |topology: &mut Topology| {
        let moved = topology.move_slots(0, 1, &partitions.map(Partition::slot)).await.unwrap();
        assert_eq!(moved.slots, 2);
    };
    let moved = world.disturb("2 slots moved", moves).await;
    assert_eq!(moved, partitions.into_iter().collect(), "only what moved has a gap");

    let replaces = async |topology: &mut Topology| {
        topology.fail_over(1).await.unwrap();
        are_masters(topology, [0, 2, 4]).await;
    };
    world.disturb("a replica took over, the master is well", replaces).await;

    let kills = async |topology: &mut Topology| {
        topology.nodes[0].stop(Signal::KILL).await.unwrap();
        are_masters(topology, [2, 3, 4]).await;
    };
    world.disturb("a master killed, its replica promoted", kills).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_redis_are_heard_again_whatever_happens() {
    let Some(mut world) = World::start(Kind::Several).await else { return };
    let all = world.disturb("all subscriptions killed", kill_subscriptions).await;
    assert_eq!(all, PartitionSet::ALL);

    let theirs = world.partitions_of(1);
    assert!((42..=43).contains(&theirs.len()));
    let restarts = async |topology: &mut Topology| {
        topology.nodes[1].stop(Signal::KILL).await.unwrap();
        topology.nodes[1].restart(false).await.unwrap();
    };
    let gap = world.disturb("one of three killed and started again", restarts).await;
    assert_eq!(gap, theirs, "only what was away has a gap");
}
