//! A node that starts while one of several Redis is away.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use jackfield_cluster::{
    bus::Channel,
    partition::{Partition, PartitionSet},
    room_name::RoomName,
};
use parking_lot::Mutex;
use rustix::process::Signal;
use xtask_kit::servers::redis::topology::Kind;

use super::heard::Heard;
use crate::{
    fixture::{Node, until},
    topologies::Servers,
};

const ROOMS: usize = 500;

/// Publishes this number in all rooms. Returns the partitions whose server does not answer.
async fn publish(node: &Node, rooms: &[RoomName], number: u64) -> PartitionSet {
    let publish = async |room: &RoomName| {
        let channel = Channel::Room(room.clone());
        let published = node.cluster.bus.publish(&channel, Bytes::from(number.to_string())).await;
        published.is_err().then(|| Partition::of_room(room))
    };
    join_all(rooms.iter().map(publish)).await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_hears_the_others_and_has_a_gap_once_the_server_is_back() {
    let Some(mut servers) = Servers::start(Kind::Several).await else { return };
    servers.topology.nodes[2].stop(Signal::KILL).await.unwrap();
    let room = |number| RoomName::parse(&"/".into(), &format!("room{number}")).unwrap();
    let rooms: Arc<[RoomName]> = (0..ROOMS).map(room).collect();
    let channels: Vec<_> = rooms.iter().cloned().map(Channel::Room).collect();
    let (node, publisher) = (servers.join(), &servers.node);
    let bus = &node.cluster.bus;
    until("the node starts", || async { bus.subscribe_reachable(&channels).await.ok() }).await;
    assert!(bus.subscribe(&channels).await.is_err(), "one server is away");
    let heard = Heard::new(Arc::clone(&rooms));
    tokio::spawn(heard.clone().receive(node.events));

    let away = publish(publisher, &rooms, 1).await;
    assert!((42..=43).contains(&away.len()), "a third of the partitions");
    let of_away: Vec<_> = (0..ROOMS).filter(|room| away.concerns_room(&rooms[*room])).collect();
    until("all others are heard", || async { (heard.rooms_without(1) == of_away).then_some(()) }).await;
    assert_eq!(heard.take_gaps(), PartitionSet::default(), "nothing was promised of the server that is away");

    servers.topology.nodes[2].restart(false).await.unwrap();
    let gaps = Mutex::new(PartitionSet::default());
    until("a gap of its partitions", || async {
        let mut gaps = gaps.lock();
        *gaps = gaps.union(heard.take_gaps());
        away.without(*gaps).is_empty().then_some(())
    })
    .await;
    assert_eq!(*gaps.lock(), away);
    let publisher = &servers.node;
    until("all answer", || async { publish(publisher, &rooms, 2).await.is_empty().then_some(()) }).await;
    until("all are heard", || async { heard.rooms_without(2).is_empty().then_some(()) }).await;
}
