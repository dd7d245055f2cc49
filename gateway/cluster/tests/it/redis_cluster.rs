//! A Redis Cluster whose slots move, and whose masters die, while messages are appended to many rooms.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jackfield_cluster::{
    ids::random_id,
    log::{Durability, Log, Position, Range},
    partition::Partition,
    room_name::RoomName,
};
use rustix::process::Signal;
use xtask_kit::servers::redis::topology::Kind;

use crate::{fixture::until, topologies::Servers};

/// With so many, every server has some.
const ROOMS: usize = 40;
/// Between two appends to a room: each makes a key, and keys take time to move.
const PAUSE: Duration = Duration::from_millis(50);
/// The replicas need 1.5 s to notice that a master is away, and some time to agree.
const GAP: Duration = Duration::from_secs(12);
/// A message to a server that is well takes no longer, whatever happens to the others.
const UNTOUCHED: Duration = Duration::from_millis(1_500);

/// The appends to one room, one after the other, each repeated under its key until it succeeds.
struct Appended {
    room: RoomName,
    durable: Durability,
    positions: Vec<Position>,
    /// The longest time between two of them.
    pause: Duration,
    /// Appends that failed first.
    failed: usize,
}

async fn append(
    log: &Log,
    room: &RoomName,
    durable: Durability,
    seen: Option<Position>,
    failed: &mut usize,
) -> Position {
    let key = random_id();
    loop {
        match log.append(room, "text", Some(&key), seen, durable).await {
            Ok(appended) => return appended.position,
            Err(_) => {
                *failed += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// Appends to all rooms as long as `work` takes, to each room with the next of these durabilities.
async fn append_during<T>(
    servers: &Servers,
    durable: &[Durability],
    work: impl Future<Output = T>,
) -> (T, Vec<Appended>) {
    let is_over = Arc::new(AtomicBool::new(false));
    let appending = (0..ROOMS).zip(durable.iter().copied().cycle()).map(|(number, durable)| {
        let (log, is_over) = (servers.node.cluster.log.clone(), Arc::clone(&is_over));
        let room = RoomName::parse(&"/".into(), &format!("r{number}")).unwrap();
        tokio::spawn(async move {
            let (mut positions, mut pause, mut failed) = (Vec::new(), Duration::ZERO, 0);
            while !is_over.load(Ordering::Relaxed) {
                let began = Instant::now();
                positions.push(append(&log, &room, durable, positions.last().copied(), &mut failed).await);
                pause = pause.max(began.elapsed());
                tokio::time::sleep(PAUSE).await;
            }
            Appended { room, durable, positions, pause, failed }
        })
    });
    let appending: Vec<_> = appending.collect();
    let done = work.await;
    is_over.store(true, Ordering::Relaxed);
    let mut all = Vec::new();
    for room in appending {
        all.push(room.await.unwrap());
    }
    (done, all)
}

/// The numbers of all messages that the log has.
async fn stored(log: &Log, room: &RoomName) -> Vec<u64> {
    let mut numbers = Vec::new();
    loop {
        let page = log.read(room, Range::After(numbers.last().copied().unwrap_or(0)), 500, None).await.unwrap();
        if page.messages.is_empty() {
            return numbers;
        }
        numbers.extend(page.messages.iter().map(|message| message.position.number));
    }
}

/// Waits until appends to all rooms succeed.
async fn whole(servers: &Servers) {
    for number in 0..ROOMS {
        let room = RoomName::parse(&"/".into(), &format!("r{number}")).unwrap();
        let log = &servers.node.cluster.log;
        until("a room takes messages", || async {
            log.append(&room, "text", None, None, Durability::Memory).await.ok()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_move_while_messages_are_appended() {
    let Some(servers) = Servers::start(Kind::Cluster).await else { return };
    let moving = async {
        let mut keys = 0;
        for (from, to) in [(0, 1), (1, 2), (2, 0)] {
            let slots = servers.topology.used_slots(from).await.unwrap();
            let middle = slots.len().saturating_sub(600) / 2;
            let some = slots.into_iter().skip(middle).take(600).collect::<Vec<_>>();
            keys += servers.topology.move_slots(from, to, &some).await.unwrap().keys;
        }
        keys
    };
    whole(&servers).await;
    let (keys, all) = append_during(&servers, &[Durability::Memory, Durability::Replica], moving).await;
    assert!(keys > 0);
    for durable in [Durability::Memory, Durability::Replica] {
        let rooms: Vec<_> = all.iter().filter(|room| room.durable == durable).collect();
        let count: usize = rooms.iter().map(|room| room.positions.len()).sum();
        let failed: usize = rooms.iter().map(|room| room.failed).sum();
        let pause = rooms.iter().map(|room| room.pause).max();
        eprintln!("{keys} keys moved; {durable:?}: {count} appends, {failed} had to be repeated; longest {pause:?}");
        assert!(count > ROOMS * 5);
        assert!(failed * 100 <= count, "{durable:?}: a slot is served while it moves");
    }
    for Appended { room, positions, .. } in all {
        // The first one is that of `whole`.
        let expected: Vec<u64> = (1..=positions.len() as u64 + 1).collect();
        let numbers: Vec<u64> = positions.iter().map(|position| position.number).collect();
        assert_eq!(numbers, expected[1..], "{room:?}: none is lost, none is doubled");
        assert!(positions.iter().all(|position| position.epoch == positions[0].epoch), "{room:?}");
        let kept = expected.len().saturating_sub(1_000);
        assert_eq!(stored(&servers.node.cluster.log, &room).await, expected[kept..], "{room:?}");
    }
}

/// All keys of the slot have moved, and the slot itself has not: its former master answers ASK.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_being_moved_takes_durable_appends() {
    let Some(servers) = Servers::start(Kind::Cluster).await else { return };
    whole(&servers).await;
    let (log, nodes) = (&servers.node.cluster.log, &servers.topology.nodes);
    let room = RoomName::parse(&"/".into(), "r0").unwrap();
    log.append(&room, "text", Some("key"), None, Durability::Memory).await.unwrap();
    let slot = Partition::of_room(&room).slot().to_string();
    let mut owned = Vec::new();
    for (index, node) in nodes.iter().enumerate().take(3) {
        let count = node.ask(&["CLUSTER", "COUNTKEYSINSLOT", &slot]).await.unwrap().text();
        owned.extend((count != "0").then_some(index));
    }
    let (from, to) = (&nodes[owned[0]], &nodes[(owned[0] + 1) % 3]);
    let (from_id, to_id) = (from.ask(&["CLUSTER", "MYID"]).await.unwrap(), to.ask(&["CLUSTER", "MYID"]).await.unwrap());
    to.ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id.text()]).await.unwrap();
    from.ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id.text()]).await.unwrap();
    for key in from.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "1000"]).await.unwrap().list() {
        let port = to.port.to_string();
        from.ask(&["MIGRATE", "127.0.0.1", &port, &key.text(), "0", "5000"]).await.unwrap();
    }
    for (number, durable) in (3..).zip([Durability::Memory, Durability::Replica]) {
        let appended = log.append(&room, "text", None, None, durable).await.unwrap();
        assert_eq!((appended.position.number, appended.durable), (number, durable));
        let again = log.append(&room, "text", Some("key"), None, durable).await.unwrap();
        assert_eq!((again.position.number, again.new, again.durable), (2, false, durable));
    }
    // A call that names a key which does not exist yet waits until the slot has moved.
    let other = log.append(&room, "text", Some("other"), None, Durability::Replica);
    let moving = async {
        tokio::time::sleep(PAUSE).await;
        for node in [to, from] {
            node.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id.text()]).await.unwrap();
        }
    };
    let (other, ()) = tokio::join!(other, moving);
    assert_eq!(other.unwrap().position.number, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_master_costs_seconds_in_its_rooms_only() {
    let Some(mut servers) = Servers::start(Kind::Cluster).await else { return };
    whole(&servers).await;
    let mut node = servers.topology.nodes.remove(0);
    let killing = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        node.stop(Signal::KILL).await.unwrap();
        tokio::time::sleep(GAP / 2).await;
    };
    let ((), all) = append_during(&servers, &[Durability::Memory], killing).await;
    let (touched, untouched): (Vec<_>, Vec<_>) = all.iter().partition(|room| room.failed > 0);
    let longest = |rooms: &[&Appended]| rooms.iter().map(|room| room.pause).max().unwrap();
    eprintln!(
        "killed: {} rooms waited {:?}, {} others at most {:?}",
        touched.len(),
        longest(&touched),
        untouched.len(),
        longest(&untouched)
    );
    assert!(longest(&touched) < GAP && longest(&untouched) < UNTOUCHED);
    assert!((ROOMS / 8..ROOMS / 2).contains(&touched.len()), "a third of the rooms");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_shard_the_others_serve() {
    let Some(mut servers) = Servers::start(Kind::Cluster).await else { return };
    whole(&servers).await;
    for name in ["redis1", "redis4"] {
        servers.topology.find(Some(name)).unwrap().stop(Signal::KILL).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let log = &servers.node.cluster.log;
    let mut away = 0;
    for number in 0..ROOMS {
        let room = RoomName::parse(&"/".into(), &format!("r{number}")).unwrap();
        let began = Instant::now();
        match log.append(&room, "text", None, None, Durability::Memory).await {
            Ok(_) => assert!(began.elapsed() < UNTOUCHED, "{:?}", began.elapsed()),
            Err(_) => away += 1,
        }
    }
    eprintln!("without a shard: {away} of {ROOMS} rooms are away");
    assert!((ROOMS / 8..ROOMS / 2).contains(&away), "a third of the rooms: {away}");
    for name in ["redis1", "redis4"] {
        servers.topology.restart(Some(name), false).await.unwrap();
    }
    whole(&servers).await;
}
