//! A Redis is appended to the list of several: the rooms that move to it begin a new epoch, and nothing happens to the
//! others.

use futures_util::future::join_all;
use jackfield_cluster::{
    Cluster, RedisSettings,
    ids::random_id,
    log::{Durability, Position, Range},
    over_redis,
    partition::{Partition, PartitionSet},
    room_name::RoomName,
};
use jackfield_shared::lifecycle::Lifecycle;
use xtask_kit::servers::redis::{
    Redis,
    topology::{Kind, Topology},
};

use crate::{
    fixture::{TERMS, until},
    topologies::Servers,
};

const ROOMS: usize = 300;

/// A node over the first so many servers.
fn node(topology: &Topology, servers: usize, lifecycle: &Lifecycle) -> Cluster {
    let urls = topology.nodes.iter().take(servers).map(Redis::url).collect();
    let settings = RedisSettings { urls, ..RedisSettings::default() };
    over_redis(settings.topology().unwrap(), "test", &random_id().as_str().into(), TERMS, lifecycle).0
}

async fn append(cluster: &Cluster, room: &RoomName, seen: Option<Position>) -> Position {
    let append = || async { cluster.log.append(room, "text", None, seen, Durability::Memory).await.ok() };
    until("it is appended", append).await.position
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_that_stay_go_on_and_those_that_move_say_so() {
    let Some(servers) = Servers::start(Kind::Several).await else { return };
    let (before, after) = (Lifecycle::new(), Lifecycle::new());
    let rooms: Vec<_> = (0..ROOMS).map(|n| RoomName::parse(&"/".into(), &format!("r{n}")).unwrap()).collect();
    let two = node(&servers.topology, 2, &before);
    for _ in 0..2 {
        join_all(rooms.iter().map(|room| append(&two, room, None))).await;
    }
    let ends = join_all(rooms.iter().map(|room| append(&two, room, None))).await;
    before.stop();

    let three = node(&servers.topology, 3, &after);
    let mut moved = Vec::new();
    for (room, end) in rooms.iter().zip(ends) {
        let page = three.log.read(room, Range::After(0), 10, Some(end)).await.unwrap();
        let next = append(&three, room, Some(end)).await;
        if page.end == end {
            assert_eq!(page.messages.len(), 3, "{room:?}");
            assert_eq!(next, Position { number: 4, ..end }, "{room:?}");
        } else {
            assert!(page.messages.is_empty() && page.end.epoch != end.epoch, "{room:?}: {page:?}");
            assert!(next.epoch != end.epoch && page.number_of(end).is_none(), "{room:?}: a member notices");
            moved.push(room);
        }
    }
    let partitions: PartitionSet = moved.iter().map(|room| Partition::of_room(room)).collect();
    let theirs = rooms.iter().filter(|room| partitions.concerns_room(room)).count();
    assert_eq!(theirs, moved.len(), "whole partitions move");
    assert!((38..=43).contains(&partitions.len()), "its share of 128 only: {}", partitions.len());
    after.stop();
}
