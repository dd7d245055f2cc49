//! A node, its servers, and messages on all of its channels.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use jackfield_cluster::{
    bus::{Channel, EmitterMessages},
    partition::{Partition, PartitionSet},
    room_name::RoomName,
};
use tokio::time::sleep;
use xtask_kit::servers::redis::topology::{Kind, Topology};

use super::{
    AGAIN_WITHIN, CHANNELS,
    heard::{Heard, Published},
    publisher::Publisher,
};
use crate::topologies::Servers;

const EMITTERS: &str = "emitters";
/// Between two messages on each channel.
const PACE: Duration = Duration::from_millis(50);
/// A copy of a message would arrive within this time.
const COPIES: Duration = Duration::from_millis(200);

/// See the module.
pub struct World {
    servers: Servers,
    publisher: Publisher,
    heard: Heard,
    emitted: EmitterMessages,
    /// Messages that servers accepted since the last fault.
    published: Vec<Published>,
}

impl World {
    /// None if `redis-server` is not installed.
    pub async fn start(kind: Kind) -> Option<Self> {
        let servers = Servers::start(kind).await?;
        let node = servers.join();
        let room = |number| RoomName::parse(&"/".into(), &format!("room{number:04}")).unwrap();
        let rooms: Arc<[RoomName]> = (0..CHANNELS).map(room).collect();
        let covered: PartitionSet = rooms.iter().map(Partition::of_room).collect();
        assert_eq!(covered, PartitionSet::ALL);
        let emitted = node.cluster.bus.emitters(EMITTERS).unwrap();
        let channels: Vec<_> = rooms.iter().cloned().map(Channel::Room).collect();
        node.subscribe(&channels).await;
        let heard = Heard::new(Arc::clone(&rooms));
        tokio::spawn(heard.clone().receive(node.events));
        let ports = servers.topology.nodes.iter().map(|node| node.port).collect();
        let publisher = Publisher::find(kind, ports, &rooms).await;
        let mut world = Self { servers, publisher, heard, emitted, published: Vec::new() };
        world.heard_again("at start").await;
        world.emitters_are_heard_once().await;
        assert_eq!(world.heard.take_gaps(), PartitionSet::default(), "nothing was missed yet");
        Some(world)
    }

    /// The partitions of a server, where partitions stay.
    pub fn partitions_of(&self, index: usize) -> PartitionSet {
        self.publisher.partitions_of(self.servers.topology.nodes[index].port)
    }

    /// Lets something happen while messages are published, and checks all that the module promises. Returns the
    /// partitions of all gaps.
    pub async fn disturb(&mut self, what: &str, act: impl AsyncFnOnce(&mut Topology)) -> PartitionSet {
        self.published.clear();
        self.publish().await;
        let begun = Instant::now();
        {
            let Self { servers, publisher, published, .. } = self;
            let mut acting = std::pin::pin!(act(&mut servers.topology));
            loop {
                published.extend(publisher.publish().await.1);
                tokio::select! {
                    () = &mut acting => break,
                    () = sleep(PACE) => {}
                }
            }
        }
        let acted = begun.elapsed();
        let again = self.heard_again(what).await;
        let lost = self.losses_have_gaps(what).await;
        let (total, gaps) = (self.published.len(), self.heard.take_gaps());
        eprintln!(
            "{what}: {acted:?} until the servers were whole, all heard again {again:?} later; {lost} of {total} messages \
             missed, gap of {} partitions",
            gaps.len()
        );
        assert_eq!(self.heard.doubled(), 0, "{what}");
        self.emitters_are_heard_once().await;
        gaps
    }

    /// Publishes a message on every channel. Returns its number.
    async fn publish(&mut self) -> u64 {
        let (number, accepted) = self.publisher.publish().await;
        self.published.extend(accepted);
        number
    }

    /// Publishes until a message that was published from now on has arrived on every channel. Returns the time it took.
    async fn heard_again(&mut self, what: &str) -> Duration {
        let begun = Instant::now();
        let first = self.publish().await;
        loop {
            sleep(PACE).await;
            let unheard = self.heard.rooms_without(first);
            if unheard.is_empty() {
                return begun.elapsed();
            }
            if begun.elapsed() >= AGAIN_WITHIN {
                let servers = self.publisher.describe(&unheard).await;
                panic!("{what}: {} channels are not heard\n{servers}", unheard.len());
            }
            self.publish().await;
        }
    }

    /// Every message that did not arrive was followed by a gap of its partition. Returns the number of those messages.
    async fn losses_have_gaps(&self, what: &str) -> usize {
        let begun = Instant::now();
        loop {
            let (lost, without) = self.heard.missing(&self.published);
            if without.is_empty() {
                return lost;
            }
            let (count, first) = (without.len(), without[0]);
            assert!(begun.elapsed() < AGAIN_WITHIN, "{what}: {count} messages without a gap, the first is {first:?}");
            sleep(PACE).await;
        }
    }

    /// A message that an emitter publishes arrives, and only once. It may be lost while subscriptions are made.
    async fn emitters_are_heard_once(&mut self) {
        let begun = Instant::now();
        loop {
            while self.emitted.recv().now_or_never().is_some() {}
            if self.publisher.emit(&format!("{EMITTERS}#/#")).await {
                sleep(COPIES).await;
                let count = std::iter::from_fn(|| self.emitted.recv().now_or_never().flatten()).count();
                assert!(count <= 1, "an emitter's message arrived {count} times");
                if count == 1 {
                    return;
                }
            }
            assert!(begun.elapsed() < AGAIN_WITHIN, "emitters are not heard");
        }
    }
}
