//! The durability of acknowledged appends, with servers that this file starts.

use std::time::Duration;

use jackfield_cluster::{
    TIMEOUT, Unavailable,
    log::{Appended, Durability, Log, Position, Range},
    room_name::RoomName,
};

use crate::{
    fixture::until,
    servers::{OverServer, Program, Proxy, Server, timed},
};

/// An answer that needed no wait for a confirmation.
const AT_ONCE: Duration = Duration::from_millis(1_000);
/// An answer after the whole wait; a busy machine may add something.
const NOT_BEFORE: Duration = Duration::from_millis(1_500);
const NOT_AFTER: Duration = Duration::from_millis(2_700);

/// Makes a test of each `async fn case(Program)` for each program that exists.
macro_rules! with_programs {
    ($($case:ident),* $(,)?) => {
        mod redis {
            $(#[tokio::test(flavor = "multi_thread")] async fn $case() {
                if crate::servers::Program::Redis.exists() {
                    super::$case(crate::servers::Program::Redis).await;
                }
            })*
        }
        mod valkey {
            $(#[tokio::test(flavor = "multi_thread")] async fn $case() {
                if crate::servers::Program::Valkey.exists() {
                    super::$case(crate::servers::Program::Valkey).await;
                }
            })*
        }
    };
}

with_programs!(
    without_a_replica_it_is_unavailable_and_other_rooms_go_on,
    a_frozen_replica_stops_only_what_needs_it,
    a_repetition_is_not_confirmed_before_the_first_is,
    a_server_that_forgets_its_scripts_gets_them_again,
    what_the_server_cannot_give_is_refused_before_it_is_stored,
    concurrent_appends_share_confirmations_and_keep_one_order,
);

fn room(name: &str) -> RoomName {
    RoomName::parse(&"/".into(), name).unwrap()
}

async fn append(log: &Log, name: &str, key: Option<&str>, durable: Durability) -> Result<Appended, Unavailable> {
    log.append(&room(name), "{}", key, None, durable).await
}

async fn count(log: &Log, name: &str) -> usize {
    log.read(&room(name), Range::Newest, 100, None).await.unwrap().messages.len()
}

fn appended(number: u64, new: bool, durable: Durability, like: Position) -> Appended {
    Appended { position: Position { number, ..like }, new, durable }
}

async fn without_a_replica_it_is_unavailable_and_other_rooms_go_on(program: Program) {
    let master = Server::start(program, &[]).await;
    let node = OverServer::at(master.port);
    let log = &node.cluster.log;
    assert_eq!(log.shortfalls(&[Durability::Replica]), [], "not known yet");
    let waiting = timed(append(log, "r", Some("k"), Durability::Replica));
    let other = async {
        for _ in 0..50 {
            append(log, "other", None, Durability::Memory).await.unwrap();
        }
    };
    let ((outcome, took), (_, took_others)) = tokio::join!(waiting, timed(other));
    assert_eq!(outcome, Err(Unavailable));
    assert!((NOT_BEFORE..NOT_AFTER).contains(&took) && took_others < AT_ONCE, "{took:?}, {took_others:?}");
    let shortfalls = log.shortfalls(&[Durability::Memory, Durability::Replica]);
    assert_eq!(shortfalls.len(), 1);
    assert!(shortfalls[0].reason.contains("replica"), "{shortfalls:?}");
    assert!(shortfalls[0].server.contains(&master.port.to_string()));

    let _replica = Server::replica_of(program, master.port).await;
    until("everything is given", || async { log.shortfalls(&[Durability::Replica]).is_empty().then_some(()) }).await;
    let again = append(log, "r", Some("k"), Durability::Replica).await.unwrap();
    assert_eq!((again.position.number, again.new, again.durable), (1, false, Durability::Replica));
}

async fn a_frozen_replica_stops_only_what_needs_it(program: Program) {
    let master = Server::start(program, &[]).await;
    let replica = Server::replica_of(program, master.port).await;
    master.has_replicas(1).await;
    let node = OverServer::at(master.port);
    let log = &node.cluster.log;
    let (first, took) = timed(append(log, "r", None, Durability::Replica)).await;
    assert!(first.is_ok_and(|first| first.durable == Durability::Replica) && took < AT_ONCE, "{took:?}");
    replica.freeze(true);
    let needs_it = async || timed(append(log, "r", Some("k"), Durability::Replica)).await;
    let ((outcome, took), (other, took_other)) =
        tokio::join!(needs_it(), timed(append(log, "other", None, Durability::Memory)));
    assert_eq!(outcome, Err(Unavailable));
    assert!(
        other.is_ok() && took_other < AT_ONCE && (NOT_BEFORE..NOT_AFTER).contains(&took),
        "{took_other:?}, {took:?}"
    );
    assert_eq!(needs_it().await.0, Err(Unavailable), "neither is a repetition confirmed");
    let found = log.find(&room("r"), "k", Durability::Replica).await;
    assert_eq!(found, Err(Unavailable), "nor a question for it");
    replica.freeze(false);
    until("it is confirmed", || async { needs_it().await.0.ok() }).await;
    let found = log.find(&room("r"), "k", Durability::Replica).await.unwrap().unwrap();
    assert_eq!((found.position.number, found.durable, count(log, "r").await), (2, Durability::Replica, 2));
    assert_eq!(log.find(&room("r"), "unknown", Durability::Replica).await, Ok(None));
}

/// `WAIT` counts what its own connection wrote: the first append went over another one.
async fn a_repetition_is_not_confirmed_before_the_first_is(program: Program) {
    let master = Server::start(program, &[]).await;
    let link = Proxy::to(master.port).await;
    let replica = Server::replica_of(program, link.port).await;
    master.has_replicas(1).await;
    let (first, second) = (OverServer::at(master.port), OverServer::at(master.port));
    let connected = append(&second.cluster.log, "other", None, Durability::Replica).await;
    assert!(connected.is_ok());
    link.hold_back(true);
    let stored = append(&first.cluster.log, "r", Some("k"), Durability::Memory).await.unwrap();
    assert_eq!(append(&second.cluster.log, "r", Some("k"), Durability::Replica).await, Err(Unavailable));
    assert_eq!(second.cluster.log.find(&room("r"), "k", Durability::Replica).await, Err(Unavailable));
    link.hold_back(false);
    let again = append(&second.cluster.log, "r", Some("k"), Durability::Replica).await;
    assert_eq!(again, Ok(appended(1, false, Durability::Replica, stored.position)));
    let copied: usize =
        replica.ask(::redis::cmd("EVAL").arg("return #redis.call('KEYS', '*:sent:k')").arg(0)).await.unwrap();
    assert_eq!(copied, 1);
}

async fn a_server_that_forgets_its_scripts_gets_them_again(program: Program) {
    let master = Server::start(program, &[]).await;
    let _replica = Server::replica_of(program, master.port).await;
    master.has_replicas(1).await;
    let node = OverServer::at(master.port);
    let log = &node.cluster.log;
    for number in 1..=3 {
        let stored = append(log, "r", None, Durability::Replica).await.unwrap();
        assert_eq!((stored.position.number, stored.durable), (number, Durability::Replica));
        master.ask::<()>(::redis::cmd("SCRIPT").arg("FLUSH")).await.unwrap();
    }
    let all = (0..20).map(|_| append(log, "r", None, Durability::Replica));
    let mut numbers: Vec<_> =
        futures_util::future::join_all(all).await.into_iter().map(|one| one.unwrap().position.number).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(4..=23), "each is stored once");
}

async fn what_the_server_cannot_give_is_refused_before_it_is_stored(program: Program) {
    let server = Server::start(program, &["--appendonly", "no"]).await;
    let node = OverServer::at(server.port);
    let log = &node.cluster.log;
    assert_eq!(log.shortfalls(&[Durability::Disk]), [], "not known yet");
    let (outcome, took) = timed(append(log, "r", Some("k"), Durability::Disk)).await;
    assert_eq!((outcome, count(log, "r").await), (Err(Unavailable), 0));
    assert!(took < AT_ONCE, "{took:?}");
    let shortfalls = log.shortfalls(&[Durability::Disk]);
    let setting = if program == Program::Redis { "7.2" } else { "appendonly yes" };
    assert!(shortfalls.len() == 1 && shortfalls[0].reason.contains(setting), "{shortfalls:?}");
    if program == Program::Redis {
        return;
    }
    server.ask::<()>(::redis::cmd("CONFIG").arg("SET").arg("appendonly").arg("yes")).await.unwrap();
    until("it is given", || async { log.shortfalls(&[Durability::Disk]).is_empty().then_some(()) }).await;
    let stored = append(log, "r", Some("k"), Durability::Disk).await.unwrap();
    assert_eq!((stored.position.number, stored.new, stored.durable), (1, true, Durability::Disk));
}

async fn concurrent_appends_share_confirmations_and_keep_one_order(program: Program) {
    let master = Server::start(program, &[]).await;
    let replica = Server::replica_of(program, master.port).await;
    master.has_replicas(1).await;
    let node = OverServer::at(master.port);
    let senders = (0..100).map(|_| {
        let log = node.cluster.log.clone();
        tokio::spawn(async move {
            let mut numbers = Vec::new();
            for _ in 0..10 {
                numbers.push(append(&log, "r", None, Durability::Replica).await.unwrap().position.number);
            }
            assert!(numbers.is_sorted(), "a sender's own order");
            numbers
        })
    });
    let mut all = Vec::new();
    for sender in senders.collect::<Vec<_>>() {
        all.extend(sender.await.unwrap());
    }
    all.sort_unstable();
    assert!(all.into_iter().eq(1..=1_000));
    let barriers: String = master.ask(::redis::cmd("INFO").arg("commandstats")).await.unwrap();
    let calls = |stats: &str| stats.split("calls=").nth(1)?.split(',').next()?.parse::<usize>().ok();
    let waits = barriers.lines().find(|line| line.starts_with("cmdstat_wait:")).and_then(calls).unwrap();
    assert!(waits < 500, "{waits} confirmations for 1,000 appends");
    let copied: usize = replica.ask(::redis::cmd("DBSIZE").arg(&[] as &[&str])).await.unwrap();
    assert!(copied > 0);
}

/// Only a server that syncs its append-only file can give it: Redis from 7.2 on, and Valkey.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_disk_survives_a_kill() {
    if !Program::Valkey.exists() {
        return;
    }
    for policy in ["everysec", "always"] {
        let mut server = Server::start(Program::Valkey, &["--appendonly", "yes", "--appendfsync", policy]).await;
        let node = OverServer::at(server.port);
        let log = &node.cluster.log;
        let all =
            (0..40).map(|n| async move { append(log, "r", Some(&n.to_string()), Durability::Disk).await.unwrap() });
        let (acked, took) = timed(futures_util::future::join_all(all)).await;
        assert!(took < TIMEOUT && acked.iter().all(|one| one.new && one.durable == Durability::Disk), "{took:?}");
        server.kill();
        server.start_again().await;
        for (n, before) in acked.into_iter().enumerate() {
            let found =
                until("found", || async { log.find(&room("r"), &n.to_string(), Durability::Disk).await.ok() }).await;
            assert_eq!(found.map(|found| found.position), Some(before.position), "{policy}");
        }
    }
}
