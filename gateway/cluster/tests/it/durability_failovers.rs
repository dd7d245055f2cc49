//! Failovers under load: what was acknowledged with [`Durability::Replica`] is on the new master, every time. What was
//! acknowledged with [`Durability::Memory`] need not be, and the test makes sure that some of it is not: it would
//! notice a loss.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jackfield_cluster::{
    log::{Durability, Log, Position, Range},
    room_name::RoomName,
};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::{
    fixture::until,
    servers::{OverServer, Program, Proxy, Server},
};

/// Unless `TEST_FAILOVERS` says more.
const FAILOVERS: usize = 15;
/// Appends that are acknowledged before each, at least.
const ACKED: usize = 40;
const SENDERS: usize = 4;
/// Of each sender.
const PACE: Duration = Duration::from_millis(5);

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_replica_had_is_lost_over_failovers() {
    if Program::Redis.exists() {
        fail_over(Program::Redis).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_replica_had_is_lost_over_failovers_of_valkey() {
    if Program::Valkey.exists() {
        fail_over(Program::Valkey).await;
    }
}

/// The acknowledged appends of one round, by body.
type Acked = Arc<Mutex<HashMap<String, Position>>>;

async fn fail_over(program: Program) {
    let times = std::env::var("TEST_FAILOVERS").map_or(FAILOVERS, |times| times.parse().unwrap());
    let mut master = Server::start(program, &[]).await;
    let clients = Proxy::to(master.port).await;
    let node = OverServer::at(clients.port);
    let (mut kept, mut lost) = ([0, 0], [0, 0]);
    for round in 0..times {
        // The link between the two, so that the test can delay it.
        let link = Proxy::to(master.port).await;
        let replica = Server::replica_of(program, link.port).await;
        master.has_replicas(1).await;
        let rooms = [("replica", Durability::Replica), ("memory", Durability::Memory)];
        let rooms =
            rooms.map(|(name, durable)| (RoomName::parse(&"/".into(), &format!("{name}{round}")).unwrap(), durable));
        let acked: [Acked; 2] = Default::default();
        let mut senders = Vec::new();
        for ((room, durable), acked) in rooms.iter().zip(&acked) {
            for sender in 0..SENDERS {
                let (log, room, acked) = (node.cluster.log.clone(), room.clone(), Arc::clone(acked));
                senders.push(tokio::spawn(send(log, room, *durable, sender, acked)));
            }
        }
        let count = |which: usize| acked[which].lock().len();
        until("both are acknowledged", || async { (count(0) >= ACKED && count(1) >= ACKED).then_some(()) }).await;
        let is_delayed = round % 2 == 1;
        if is_delayed {
            link.hold_back(true);
            let before = count(1);
            until("more is acknowledged", || async { (count(1) >= before + 20).then_some(()) }).await;
        }
        // While all senders go on.
        master.kill();
        let acked_by_then = acked.each_ref().map(|acked| acked.lock().clone());
        link.lead_to(0);
        replica.ask::<()>(redis::cmd("REPLICAOF").arg("NO").arg("ONE")).await.unwrap();
        clients.lead_to(replica.port);
        // Those that still wait would be answered by the new master.
        senders.iter().for_each(JoinHandle::abort);
        for (which, (room, _)) in rooms.iter().enumerate() {
            let stored = bodies(&node.cluster.log, room).await;
            for (body, position) in &acked_by_then[which] {
                let is_there = stored.get(&position.number) == Some(body);
                if is_there {
                    kept[which] += 1;
                } else {
                    lost[which] += 1;
                }
                assert!(
                    is_there || which == 1,
                    "round {round}: lost {position}, {body}, of {}",
                    acked_by_then[which].len()
                );
            }
        }
        // Positions that were given are never given again, whatever is lost.
        let (room, given) = (&rooms[1].0, &acked_by_then[1]);
        for n in 0..ACKED {
            let append = || async {
                node.cluster.log.append(room, &format!("later {n}"), None, None, Durability::Memory).await.ok()
            };
            let position = until("it is appended", append).await.position;
            assert!(given.values().all(|other| *other != position), "round {round}: {position} is given twice");
        }
        master = replica;
    }
    eprintln!(
        "{program:?}, {times} failovers: replica {} kept, {} lost; memory {} kept, {} lost",
        kept[0], lost[0], kept[1], lost[1]
    );
    assert_eq!(lost[0], 0);
    assert!(lost[1] > 0, "with memory something must be lost, or the test could not notice it");
    assert!(kept[0] >= times * ACKED, "much was acknowledged");
}

/// Sends until it is aborted, and notes what is acknowledged.
async fn send(log: Log, room: RoomName, durable: Durability, sender: usize, acked: Acked) {
    for n in 0.. {
        if acked.lock().len() > 900 {
            return;
        }
        let body = format!("{sender} {n}");
        // Nothing is known about one that is unavailable.
        if let Ok(appended) = log.append(&room, &body, Some(&body), None, durable).await {
            acked.lock().insert(body, appended.position);
        }
        // So that a room keeps all of its messages.
        tokio::time::sleep(PACE).await;
    }
}

/// The room's messages, by number.
async fn bodies(log: &Log, room: &RoomName) -> HashMap<u64, String> {
    let read = || async { log.read(room, Range::Newest, 1_000, None).await.ok() };
    let page = until("the room is read", read).await;
    page.messages.into_iter().map(|stored| (stored.position.number, stored.body.to_string())).collect()
}
