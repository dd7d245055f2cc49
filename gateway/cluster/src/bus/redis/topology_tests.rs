//! Against real servers: what the listeners do when connections are killed, slots move and servers die.
//!
//! They run with `TEST_REDIS_URL` set, like all tests over Redis, but start servers of their own.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use ::redis::{Value, aio::MultiplexedConnection};
use futures_util::FutureExt as _;
use rustix::process::Signal;
use tokio::{sync::watch, time::timeout};
use xtask_kit::{
    ports::Ports,
    servers::redis::topology::{Kind as Arrangement, Topology},
    workdir::Workdir,
};

use super::*;
use crate::{
    RedisSettings,
    bus::{BusEvent, EmitterMessages},
    ids::random_id,
    partition::{Partition, PartitionSet},
    redis::{keys::Keys, routing::Routing, server::Server},
    room_name::RoomName,
};

const CHANNELS: usize = 2_000;
/// Longest time until everything is received again.
const AGAIN_WITHIN: Duration = Duration::from_secs(5);
const EMITTERS: &str = "emitters";

/// The events that the node has received.
#[derive(Default)]
struct Received {
    /// By channel: the numbers of its messages.
    messages: HashMap<Channel, HashSet<u64>>,
    gaps: Vec<(Instant, PartitionSet)>,
    /// Messages that arrived a second time.
    doubled: usize,
}

/// A node's bus, and servers that it can lose.
struct World {
    /// Away while something happens to it.
    topology: Option<Topology>,
    ports: Vec<u16>,
    rooms: Vec<RoomName>,
    names: Vec<(Partition, String)>,
    hub: Arc<Hub>,
    routing: Arc<watch::Sender<Arc<Routing>>>,
    received: Arc<Mutex<Received>>,
    emitted: EmitterMessages,
    /// Every message that a server has taken: its time, number and channel.
    published: Vec<(Instant, u64, usize)>,
    number: u64,
    connections: HashMap<u16, MultiplexedConnection>,
    lifecycle: Lifecycle,
    _kept: (Workdir, tokio::net::UnixListener, Ports),
}

fn target(port: u16, is_cluster: bool) -> crate::RedisTarget {
    let settings = RedisSettings {
        urls: vec![format!("redis://127.0.0.1:{port}")],
        cluster: is_cluster,
        ..RedisSettings::default()
    };
    match settings.topology().unwrap() {
        crate::RedisTopology::One(target) => target,
        crate::RedisTopology::Several(mut targets) | crate::RedisTopology::Cluster(mut targets) => targets.remove(0),
    }
}

async fn ask(connection: &mut MultiplexedConnection, words: &[&str]) -> Option<Value> {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    timeout(Duration::from_millis(500), command.query_async(connection)).await.ok()?.ok()
}

async fn open(port: u16) -> Option<MultiplexedConnection> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
    timeout(Duration::from_millis(500), client.get_multiplexed_async_connection()).await.ok()?.ok()
}

/// The port of the master of each partition, as this node of a Redis Cluster says.
async fn masters(port: u16) -> Option<Vec<u16>> {
    let slots = ask(&mut open(port).await?, &["CLUSTER", "SLOTS"]).await?;
    let ranges: Vec<(u16, u16, Vec<Value>)> = slots
        .into_sequence()
        .ok()?
        .into_iter()
        .map(|range| {
            let range = range.into_sequence().unwrap();
            let number = |value: &Value| u16::try_from(if let Value::Int(n) = value { *n } else { 0 }).unwrap();
            (number(&range[0]), number(&range[1]), range[2].as_sequence().unwrap().to_vec())
        })
        .collect();
    let master = |partition: Partition| {
        let (_, _, master) = ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&partition.slot()))?;
        if let Value::Int(port) = master[1] { u16::try_from(port).ok() } else { None }
    };
    Partition::all().map(master).collect()
}

/// Tells the listeners where the partitions are, as the routing of a Redis Cluster does.
async fn follow(ports: Vec<u16>, routing: Arc<watch::Sender<Arc<Routing>>>, lifecycle: Lifecycle) {
    let mut servers: HashMap<u16, Arc<Server>> = HashMap::new();
    let mut last = Vec::new();
    loop {
        for port in &ports {
            if let Some(masters) = masters(*port).await {
                if masters != last {
                    routing.send_replace(Arc::new(routing_of(&masters, &mut servers, &lifecycle)));
                    last = masters;
                }
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn routing_of(masters: &[u16], servers: &mut HashMap<u16, Arc<Server>>, lifecycle: &Lifecycle) -> Routing {
    let mut used: Vec<u16> = masters.to_vec();
    used.sort_unstable();
    used.dedup();
    let server = |port: &u16| {
        let new = || Arc::new(Server::new(target(*port, true), &Keys::new("p"), lifecycle));
        Arc::clone(servers.entry(*port).or_insert_with(new))
    };
    let all = used.iter().map(server).collect();
    let index = |port: &u16| u8::try_from(used.iter().position(|one| one == port).unwrap()).unwrap();
    Routing::of(all, std::array::from_fn(|partition| index(&masters[partition])))
}

impl World {
    async fn start(kind: Arrangement) -> Self {
        let (workdir, socket) = Workdir::create(&format!("bus-{kind}-{}", std::process::id()), None).unwrap();
        let mut ports = Ports::new().unwrap();
        let topology = Topology::start(kind, &workdir, &mut ports).await.unwrap();
        let lifecycle = Lifecycle::new();
        let numbers: Vec<u16> = topology.nodes.iter().map(|node| node.port).collect();
        let is_cluster = kind == Arrangement::Cluster;
        let first = if is_cluster {
            routing_of(&masters(numbers[0]).await.unwrap(), &mut HashMap::new(), &lifecycle)
        } else {
            let server = |port: &u16| Arc::new(Server::new(target(*port, false), &Keys::new("p"), &lifecycle));
            Routing::shared_by(numbers.iter().map(server).collect())
        };
        let routing = Arc::new(watch::Sender::new(Arc::new(first)));
        if is_cluster {
            let stop = lifecycle.stopping();
            let following = follow(numbers.clone(), Arc::clone(&routing), lifecycle.clone());
            lifecycle.spawn(async move { stop.run_until_cancelled(following).await });
        }
        let (queue, mut events) = events::queue();
        let (emitters, emitted) = emitters::queue(EMITTERS);
        let keys = Keys::new(&random_id());
        let hub = Arc::new(Hub {
            keys: keys.clone(),
            node: "n".into(),
            kind: Kind::of(is_cluster),
            book: Mutex::new(Book::new()),
            queue,
            emitters: Mutex::new(Emitters::of(emitters)),
            ears: Mutex::default(),
            began: Instant::now(),
        });
        Supervisor::start(Arc::clone(&hub), routing.subscribe(), &lifecycle);
        let received: Arc<Mutex<Received>> = Arc::default();
        let (into, stop) = (Arc::clone(&received), lifecycle.stopping());
        lifecycle.spawn(async move {
            while let Some(Some(event)) = stop.run_until_cancelled(events.recv()).await {
                let mut received = into.lock();
                match event {
                    BusEvent::Message(channel, payload) => {
                        let number = std::str::from_utf8(&payload).unwrap().parse().unwrap();
                        let is_new = received.messages.entry(channel).or_default().insert(number);
                        received.doubled += usize::from(!is_new);
                    }
                    BusEvent::Gap(partitions) => received.gaps.push((Instant::now(), partitions)),
                }
            }
        });
        let rooms: Vec<_> = (0..CHANNELS).map(|n| RoomName::parse(&"/".into(), &format!("r{n}")).unwrap()).collect();
        let channel = |room: &RoomName| Channel::Room(room.clone());
        let names: Vec<_> =
            rooms.iter().map(|room| (channel(room).partition(), keys.channel(&channel(room)))).collect();
        let covered: PartitionSet = names.iter().map(|(partition, _)| *partition).collect();
        assert_eq!(covered, PartitionSet::ALL);
        let (done, confirmed) = oneshot::channel();
        let named = names.iter().zip(&rooms).map(|((partition, name), room)| (*partition, name.clone(), channel(room)));
        hub.book.lock().want(named, Reach::All, done);
        timeout(AGAIN_WITHIN, confirmed).await.unwrap().unwrap();
        Self {
            topology: Some(topology),
            ports: numbers,
            rooms,
            names,
            hub,
            routing,
            received,
            emitted,
            published: Vec::new(),
            number: 0,
            connections: HashMap::new(),
            lifecycle,
            _kept: (workdir, socket, ports),
        }
    }

    /// The port of the server of each partition, whatever the node believes.
    async fn servers(&self) -> Vec<u16> {
        if self.hub.kind == Kind::Plain {
            let routing = Arc::clone(&self.routing.borrow());
            return Partition::all().map(|partition| self.ports[routing.index(partition)]).collect();
        }
        for port in &self.ports {
            if let Some(masters) = masters(*port).await {
                return masters;
            }
        }
        panic!("no server answers");
    }

    async fn connection(&mut self, port: u16) -> Option<MultiplexedConnection> {
        if let Some(connection) = self.connections.get(&port) {
            return Some(connection.clone());
        }
        let connection = open(port).await?;
        self.connections.insert(port, connection.clone());
        Some(connection)
    }

    /// Publishes a message with the next number on every channel. Returns the number.
    async fn publish(&mut self) -> u64 {
        self.number += 1;
        let number = self.number;
        let servers = self.servers().await;
        let mut by_port: HashMap<u16, Vec<usize>> = HashMap::new();
        for (index, (partition, _)) in self.names.iter().enumerate() {
            by_port.entry(servers[partition.index()]).or_default().push(index);
        }
        for (port, indices) in by_port {
            let Some(mut connection) = self.connection(port).await else { continue };
            let mut pipeline = redis::pipe();
            for index in &indices {
                let mut command = self.hub.kind.publish();
                command.arg(&self.names[*index].1).arg(number);
                pipeline.add_command(command);
            }
            pipeline.ignore_errors();
            match timeout(
                Duration::from_secs(1),
                pipeline.query_async::<Vec<redis::RedisResult<Value>>>(&mut connection),
            )
            .await
            {
                Ok(Ok(answers)) => {
                    let taken = indices.iter().zip(answers).filter(|(_, answer)| answer.is_ok());
                    self.published.extend(taken.map(|(index, _)| (Instant::now(), number, *index)));
                }
                _ => drop(self.connections.remove(&port)),
            }
        }
        number
    }

    /// Publishes until a message that was published from now on has arrived on every channel. Returns the time that took.
    async fn heard_again(&mut self, since: Instant) -> Duration {
        let first = self.number + 1;
        loop {
            self.publish().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            let heard = {
                let received = self.received.lock();
                let of = |room: &RoomName| received.messages.get(&Channel::Room(room.clone()));
                let is_heard = |room: &&RoomName| of(room).is_some_and(|numbers| numbers.iter().any(|n| *n >= first));
                self.rooms.iter().filter(is_heard).count()
            };
            if heard == CHANNELS {
                return since.elapsed();
            }
            assert!(since.elapsed() < 4 * AGAIN_WITHIN, "only {heard} channels are heard");
        }
    }

    /// Lets something happen while messages are published, and checks that everything is heard again.
    async fn disturb(&mut self, what: &str, act: impl AsyncFnOnce(&mut Topology)) {
        self.publish().await;
        let begun = Instant::now();
        let mut topology = self.topology.take().unwrap();
        let acted = {
            let acting = async {
                act(&mut topology).await;
                begun.elapsed()
            };
            let mut acting = std::pin::pin!(acting);
            loop {
                self.publish().await;
                tokio::select! {
                    acted = &mut acting => break acted,
                    () = tokio::time::sleep(Duration::from_millis(50)) => {}
                }
            }
        };
        let again = self.heard_again(begun).await;
        self.topology = Some(topology);
        eprintln!("{what}: done after {acted:?}, all heard again after {again:?}");
        assert!(again < AGAIN_WITHIN + acted, "{what}: {again:?}");
        self.check_losses(what).await;
        assert_eq!(self.received.lock().doubled, 0, "{what}");
    }

    /// Every message that was published and did not arrive was followed by a gap of its partition.
    async fn check_losses(&mut self, what: &str) {
        let deadline = Instant::now() + AGAIN_WITHIN;
        loop {
            let missing = {
                let received = self.received.lock();
                let is_lost = |(_, number, index): &&(Instant, u64, usize)| {
                    let messages = received.messages.get(&Channel::Room(self.rooms[*index].clone()));
                    messages.is_none_or(|messages| !messages.contains(number))
                };
                let had_gap = |(at, _, index): &&(Instant, u64, usize)| {
                    let partition = self.names[*index].0;
                    received.gaps.iter().any(|(gap, partitions)| gap >= at && partitions.contains(partition))
                };
                let lost: Vec<_> = self.published.iter().filter(is_lost).collect();
                let (total, without) = (lost.len(), lost.into_iter().filter(|lost| !had_gap(lost)).count());
                if without == 0 {
                    let gaps: Vec<_> = received.gaps.iter().map(|(_, partitions)| partitions.len()).collect();
                    eprintln!(
                        "{what}: {total} of {} messages lost so far, partitions of gaps: {gaps:?}",
                        self.published.len()
                    );
                }
                without
            };
            if missing == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: {missing} messages were lost without a gap");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The partitions of all gaps.
    fn in_gaps(&self) -> PartitionSet {
        self.received.lock().gaps.iter().fold(PartitionSet::default(), |all, (_, some)| all.union(*some))
    }

    /// Forgets all messages and gaps; returns the partitions of these.
    fn forget(&mut self) -> PartitionSet {
        self.published.clear();
        let all = self.in_gaps();
        self.received.lock().gaps.clear();
        all
    }

    /// Emits once on the server of the first partition, and returns how often it arrives.
    async fn emit(&mut self) -> usize {
        while self.emitted.recv().now_or_never().is_some() {}
        let port = self.servers().await[0];
        let mut connection = self.connection(port).await.unwrap();
        ask(&mut connection, &["PUBLISH", &format!("{EMITTERS}#/#"), "x"]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        std::iter::from_fn(|| self.emitted.recv().now_or_never().flatten()).count()
    }

    async fn emitters_are_heard_once(&mut self) {
        let deadline = Instant::now() + AGAIN_WITHIN;
        loop {
            let count = self.emit().await;
            assert!(count <= 1, "an emitter's message arrived {count} times");
            if count == 1 {
                return;
            }
            assert!(Instant::now() < deadline, "emitters are not heard");
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

/// Redis elsewhere does for other tests.
fn is_left_out() -> bool {
    std::env::var_os("TEST_REDIS_URL").is_none() || xtask_kit::paths::which("redis-server").is_none()
}

async fn kill_connections(topology: &mut Topology) {
    for node in &topology.nodes {
        node.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_cluster_is_heard_again_whatever_happens() {
    if is_left_out() {
        return;
    }
    let mut world = World::start(Arrangement::Cluster).await;
    world.heard_again(Instant::now()).await;
    world.emitters_are_heard_once().await;
    world.disturb("all subscriptions' connections killed", kill_connections).await;
    assert_eq!(world.forget(), PartitionSet::ALL);

    let moves = async |topology: &mut Topology| {
        let slots = [0, 1].map(|number| Partition::new(number).unwrap().slot());
        let moved = topology.move_slots(0, 1, &slots).await.unwrap();
        assert_eq!(moved.slots, 2);
    };
    world.disturb("2 slots moved", moves).await;
    let of_moved = world.in_gaps();
    assert_eq!(of_moved, [0, 1].map(|number| Partition::new(number).unwrap()).into_iter().collect());

    let begun = Instant::now();
    world
        .disturb("a replica took over, the master is well", async |topology| topology.fail_over(1).await.unwrap())
        .await;
    assert!(begun.elapsed() < 4 * AGAIN_WITHIN);
    world.emitters_are_heard_once().await;
    let kills = async |topology: &mut Topology| {
        topology.nodes[0].stop(Signal::KILL).await.unwrap();
        while topology.masters().await.len() < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    world.disturb("a master killed, its replica promoted", kills).await;
    world.emitters_are_heard_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_redis_are_heard_again_whatever_happens() {
    if is_left_out() {
        return;
    }
    let mut world = World::start(Arrangement::Several).await;
    world.heard_again(Instant::now()).await;
    world.disturb("all subscriptions' connections killed", kill_connections).await;
    assert_eq!(world.forget(), PartitionSet::ALL);
    let restarts = async |topology: &mut Topology| {
        topology.nodes[1].stop(Signal::KILL).await.unwrap();
        topology.nodes[1].restart(false).await.unwrap();
    };
    world.disturb("one of three killed and started again", restarts).await;
    let of_server = world.routing.borrow().partitions_of(1);
    assert_eq!(world.in_gaps(), of_server);
}
