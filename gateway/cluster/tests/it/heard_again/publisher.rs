//! Publishes on rooms' channels as Redis itself names them, at the servers that Redis itself names. Nothing here comes
//! from the gateway's routing, so that an error in it is seen.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use jackfield_cluster::{
    partition::{PARTITIONS, Partition, PartitionSet},
    room_name::RoomName,
};
use redis::{Client, Pipeline, RedisResult, aio::MultiplexedConnection, cmd};
use tokio::time::{sleep, timeout};
use xtask_kit::servers::redis::topology::Kind;

use super::heard::Published;
use crate::fixture::TIMEOUT;

const ANSWER: Duration = Duration::from_millis(500);
const ANSWERS: Duration = Duration::from_secs(1);
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// See the module.
pub struct Publisher {
    kind: Kind,
    connections: HashMap<u16, MultiplexedConnection>,
    /// By room: its partition and its channel.
    channels: Vec<(Partition, String)>,
    /// The port of each partition's server, where partitions stay.
    fixed: Option<Vec<u16>>,
    ports: Vec<u16>,
    number: u64,
}

impl Publisher {
    /// For these rooms, once a node has subscribed to all: the servers know the channels then.
    pub async fn find(kind: Kind, ports: Vec<u16>, rooms: &[RoomName]) -> Self {
        let (connections, channels) = (HashMap::new(), Vec::new());
        let mut publisher = Self { kind, connections, channels, fixed: None, ports, number: 0 };
        let learning = async {
            while publisher.learn(rooms).await.is_none() {
                sleep(CHECK_INTERVAL).await;
            }
        };
        timeout(TIMEOUT, learning).await.expect("the servers know all channels");
        publisher
    }

    async fn learn(&mut self, rooms: &[RoomName]) -> Option<()> {
        let list = if self.is_cluster() { "SHARDCHANNELS" } else { "CHANNELS" };
        let mut found = HashMap::new();
        for port in self.ports.clone() {
            let mut connection = self.connection(port).await?;
            let names: Vec<String> =
                cmd("PUBSUB").arg(list).arg("*:r:*:messages").query_async(&mut connection).await.ok()?;
            for name in names {
                // The name ends with that of the room, and all rooms' names have the same length.
                let room = name.strip_suffix(":messages")?;
                found.insert(room[room.len() - rooms[0].name.len()..].to_owned(), (port, name.clone()));
            }
        }
        let mut fixed = vec![0; usize::from(PARTITIONS)];
        self.channels.clear();
        for room in rooms {
            let (port, name) = found.remove(&*room.name)?;
            let partition = Partition::of_room(room);
            fixed[partition.index()] = port;
            self.channels.push((partition, name));
        }
        self.fixed = (!self.is_cluster()).then_some(fixed);
        Some(())
    }

    fn is_cluster(&self) -> bool {
        self.kind == Kind::Cluster
    }

    /// The partitions of a server, where partitions stay.
    pub fn partitions_of(&self, port: u16) -> PartitionSet {
        let fixed = self.fixed.as_deref().unwrap_or_default();
        Partition::all().filter(|partition| fixed[partition.index()] == port).collect()
    }

    async fn connection(&mut self, port: u16) -> Option<MultiplexedConnection> {
        if let Some(connection) = self.connections.get(&port) {
            return Some(connection.clone());
        }
        let client = Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
        let connection = timeout(ANSWER, client.get_multiplexed_async_connection()).await.ok()?.ok()?;
        self.connections.insert(port, connection.clone());
        Some(connection)
    }

    /// The port of each partition's server; none while no server calls itself the partition's master, or two do.
    async fn servers(&mut self) -> Vec<Option<u16>> {
        if let Some(fixed) = &self.fixed {
            return fixed.iter().copied().map(Some).collect();
        }
        let mut claims = vec![Vec::new(); usize::from(PARTITIONS)];
        for port in self.ports.clone() {
            let Some(mut connection) = self.connection(port).await else { continue };
            let mut command = cmd("CLUSTER");
            command.arg("NODES");
            let Ok(Ok(nodes)) = timeout(ANSWER, command.query_async::<String>(&mut connection)).await else {
                self.connections.remove(&port);
                continue;
            };
            let slots = slots_of_itself(&nodes);
            for partition in Partition::all() {
                if slots.iter().any(|(first, last)| (*first..=*last).contains(&partition.slot())) {
                    claims[partition.index()].push(port);
                }
            }
        }
        claims.into_iter().map(|ports| if let [port] = ports[..] { Some(port) } else { None }).collect()
    }

    /// Publishes a message with the next number on every channel. Returns those that servers accepted.
    pub async fn publish(&mut self) -> (u64, Vec<Published>) {
        self.number += 1;
        let (number, servers) = (self.number, self.servers().await);
        let mut by_port: HashMap<u16, Vec<usize>> = HashMap::new();
        for (room, (partition, _)) in self.channels.iter().enumerate() {
            if let Some(port) = servers[partition.index()] {
                by_port.entry(port).or_default().push(room);
            }
        }
        let mut connected = Vec::new();
        for (port, rooms) in by_port {
            if let Some(connection) = self.connection(port).await {
                connected.push((port, connection, rooms));
            }
        }
        let sent = join_all(connected.into_iter().map(async |(port, connection, rooms)| {
            let at = Instant::now();
            let answers = self.send(connection, &rooms, number).await;
            (port, at, rooms, answers)
        }));
        let mut accepted = Vec::new();
        for (port, at, rooms, answers) in sent.await {
            let Some(answers) = answers else {
                self.connections.remove(&port);
                continue;
            };
            let taken = rooms.into_iter().zip(answers).filter(|(_, answer)| answer.is_ok());
            accepted.extend(taken.map(|(room, _)| Published { at, number, room }));
        }
        (number, accepted)
    }

    async fn send(
        &self,
        mut connection: MultiplexedConnection,
        rooms: &[usize],
        number: u64,
    ) -> Option<Vec<RedisResult<redis::Value>>> {
        let mut pipeline = Pipeline::with_capacity(rooms.len());
        for room in rooms {
            let publish = if self.is_cluster() { "SPUBLISH" } else { "PUBLISH" };
            pipeline.cmd(publish).arg(&self.channels[*room].1).arg(number);
        }
        pipeline.ignore_errors();
        timeout(ANSWERS, pipeline.query_async(&mut connection)).await.ok()?.ok()
    }

    /// The servers' own words about these rooms, for the report of a failure.
    pub async fn describe(&mut self, rooms: &[usize]) -> String {
        let (servers, mut all) = (self.servers().await, String::new());
        let partitions: BTreeSet<_> = rooms.iter().map(|room| self.channels[*room].0.number()).collect();
        for partition in partitions.iter().filter_map(|number| Partition::new(*number)) {
            let (slot, server) = (partition.slot(), servers[partition.index()]);
            all += &format!("partition {}, slot {slot}: at {server:?}\n", partition.number());
        }
        let kind = if self.is_cluster() { "SHARDNUMSUB" } else { "NUMSUB" };
        for port in self.ports.clone() {
            let Some(mut connection) = self.connection(port).await else { continue };
            let (mut nodes, mut counts) = (cmd("CLUSTER"), cmd("PUBSUB"));
            counts.arg(kind).arg(rooms.iter().map(|room| &self.channels[*room].1).collect::<Vec<_>>());
            let counts = timeout(ANSWER, counts.query_async::<HashMap<String, usize>>(&mut connection)).await;
            let counts = counts.map(|counts| counts.map(|counts| counts.into_values().sum::<usize>()));
            let nodes = timeout(ANSWER, nodes.arg("NODES").query_async::<String>(&mut connection)).await;
            let nodes = nodes.ok().and_then(Result::ok).unwrap_or_default();
            all += &format!("at {port}: {counts:?} subscriptions to these rooms\n{nodes}");
        }
        all
    }

    /// Publishes on a plain channel at the server of the first partition. False if that is not possible now.
    pub async fn emit(&mut self, channel: &str) -> bool {
        let Some(port) = self.servers().await[Partition::FIRST.index()] else { return false };
        let Some(mut connection) = self.connection(port).await else { return false };
        let mut command = cmd("PUBLISH");
        command.arg(channel).arg("x");
        let is_sent = timeout(ANSWER, command.exec_async(&mut connection)).await.is_ok_and(|sent| sent.is_ok());
        if !is_sent {
            self.connections.remove(&port);
        }
        is_sent
    }
}

/// The ranges of slots in a node's line about itself, if it is a master.
fn slots_of_itself(nodes: &str) -> Vec<(u16, u16)> {
    let own = nodes.lines().find(|line| line.contains("myself,master"));
    let fields = own.into_iter().flat_map(|line| line.split(' ').skip(8));
    // A slot that is being moved stands in brackets, too.
    let ranges = fields.filter(|field| !field.starts_with('['));
    let range = |field: &str| {
        let (first, last) = field.split_once('-').unwrap_or((field, field));
        (first.parse().unwrap(), last.parse().unwrap())
    };
    ranges.map(range).collect()
}
