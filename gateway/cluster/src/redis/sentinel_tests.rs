use std::{sync::Arc, time::Instant};

use jackfield_shared::lifecycle::Lifecycle;
use parking_lot::Mutex;

use super::{watch::WATCH_EVERY, *};
use crate::redis::{
    connector::{Connector, ELECT_TIMEOUT},
    fake::{Fake, list},
    keys::Keys,
    settings::RedisSettings,
    target::{Place, RedisTarget, RedisTopology},
};

/// A sentinel's words about the master `main`.
#[derive(Clone, Copy)]
struct State {
    port: u16,
    flags: &'static str,
    epoch: u64,
}

impl State {
    const fn well(port: u16) -> Self {
        Self { port, flags: "master", epoch: 0 }
    }
}

/// A sentinel that says this, until it is changed.
async fn sentinel_with(state: &Arc<Mutex<State>>) -> Fake {
    let state = Arc::clone(state);
    Fake::start(move |command| {
        let State { port, flags, epoch } = *state.lock();
        let (port, epoch) = (port.to_string(), epoch.to_string());
        Some(match (command[0].as_str(), command[1].as_str()) {
            ("HELLO", _) => list(&["mode", "sentinel"]),
            ("SENTINEL", "MASTER") if command[2] == "main" => {
                list(&["ip", "127.0.0.1", "port", &port, "flags", flags, "config-epoch", &epoch])
            }
            ("SENTINEL", "MASTER") => "-ERR No such master with that name\r\n".into(),
            _ => list(&["127.0.0.1", &port]),
        })
    })
    .await
}

/// A sentinel that names this server as the master `main`.
async fn sentinel(master: u16) -> Fake {
    sentinel_with(&Arc::new(Mutex::new(State::well(master)))).await
}

fn target(sentinels: &[&Fake], name: &str) -> RedisTarget {
    let sentinels = sentinels.iter().map(|sentinel| sentinel.url()).collect();
    let settings = RedisSettings { sentinels, master: name.into(), ..RedisSettings::default() };
    match settings.topology().unwrap() {
        RedisTopology::One(target) => target,
        _ => panic!("one"),
    }
}

/// The port of the master that is found, or why there is none.
async fn find(sentinels: &[&Fake], name: &str) -> Result<u16, String> {
    let target = target(sentinels, name);
    let Place::Master(master) = &target.0 else { panic!("a master") };
    let found = connect(master, Protocol::Resp2, &Failing::default()).await;
    match found.map_err(|error| error.to_string())? {
        (_, Address::Tcp { port, .. }) => Ok(port),
        (_, other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn most_sentinels_are_believed_and_a_replica_never_is() {
    let (master, other, replica) =
        (Fake::redis("master").await, Fake::redis("master").await, Fake::redis("replica").await);
    let right = [sentinel(master.port).await, sentinel(master.port).await];
    let another_master = sentinel(other.port).await;
    assert_eq!(find(&[&another_master, &right[0], &right[1]], "main").await, Ok(master.port));
    // Alone, it is believed if the server says that it is a master.
    assert_eq!(find(&[&another_master], "main").await, Ok(other.port));
    for liar in [sentinel(replica.port).await, sentinel(1).await, sentinel(right[0].port).await] {
        assert_eq!(find(&[&liar, &right[0], &right[1]], "main").await, Ok(master.port));
        assert_eq!(find(&[&liar, &right[0]], "main").await, Ok(master.port));
    }
    let liars = [sentinel(replica.port).await, sentinel(replica.port).await];
    assert_eq!(find(&[&liars[0], &liars[1], &right[0]], "main").await, Ok(master.port), "the third is asked");
    let error = find(&[&sentinel(replica.port).await], "main").await.unwrap_err();
    let expected =
        format!("127.0.0.1:{}, which sentinels name as the master: it is no master but a replica", replica.port);
    assert_eq!(error, expected);
    let error = find(&[&sentinel(right[0].port).await], "main").await.unwrap_err();
    assert!(error.ends_with("it is a sentinel"), "{error}");
}

#[tokio::test]
async fn a_master_that_no_sentinel_knows() {
    let master = Fake::redis("master").await;
    let sentinels = [sentinel(master.port).await, sentinel(master.port).await];
    let error = find(&[&sentinels[0], &sentinels[1]], "mian").await.unwrap_err();
    let [one, two] = [sentinels[0].port, sentinels[1].port];
    assert_eq!(
        error,
        format!("no sentinel of 127.0.0.1:{one}, 127.0.0.1:{two} knows the master `mian` of `redis.master`")
    );
    // A Redis in place of a sentinel, and none at all.
    let error = find(&[&master, &Fake::nowhere()], "main").await.unwrap_err();
    assert!(error.contains("this is no sentinel") && error.contains("refused"), "{error}");
}

#[tokio::test]
async fn a_frozen_sentinel_or_master_does_not_take_all_the_time() {
    let master = Fake::redis("master").await;
    let frozen = Fake::start(|_| None).await;
    let right = sentinel(master.port).await;
    let began = Instant::now();
    assert_eq!(find(&[&frozen, &right], "main").await, Ok(master.port));
    let old = sentinel(frozen.port).await;
    assert_eq!(find(&[&old, &right], "main").await, Ok(master.port));
    assert!(began.elapsed() < ELECT_TIMEOUT * 2, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_master_that_is_being_replaced_is_not_used_although_most_sentinels_name_it() {
    let (old, new) = (Fake::redis("master").await, Fake::redis("master").await);
    let well = [sentinel(old.port).await, sentinel(old.port).await];
    let told = Arc::new(Mutex::new(State { port: old.port, flags: "master,failover_in_progress", epoch: 0 }));
    let leader = sentinel_with(&told).await;
    let all = [&well[0], &well[1], &leader];
    let error = find(&all, "main").await.unwrap_err();
    let [old_port, leader_port] = [old.port, leader.port];
    assert_eq!(
        error,
        format!(
            "127.0.0.1:{old_port}, which sentinels name as the master: \
             sentinel 127.0.0.1:{leader_port} says that a failover of it is in progress"
        )
    );
    *told.lock() = State { epoch: 1, ..State::well(new.port) };
    assert_eq!(find(&all, "main").await, Ok(new.port), "the later failover counts");
    *told.lock() = State { flags: "s_down,o_down,master", ..State::well(old.port) };
    assert_eq!(find(&all, "main").await, Ok(old.port), "nobody replaces it");
}

#[tokio::test]
async fn sentinels_are_asked_after_the_connection_is_open() {
    let told = Arc::new(Mutex::new(State::well(0)));
    let begins = Arc::clone(&told);
    let master = Fake::start(move |_| {
        begins.lock().flags = "master,failover_in_progress";
        Some(list(&["mode", "standalone", "role", "master"]))
    })
    .await;
    told.lock().port = master.port;
    let sentinel = sentinel_with(&told).await;
    assert!(find(&[&sentinel], "main").await.unwrap_err().ends_with("a failover of it is in progress"));
}

#[tokio::test]
async fn a_sentinel_that_may_not_say_how_the_master_is_counts_as_none() {
    let master = Fake::redis("master").await;
    let mute = Fake::start(|command| {
        Some(match command[0].as_str() {
            "HELLO" => list(&["mode", "sentinel"]),
            _ => "-NOPERM User jack has no permissions to run the 'sentinel|master' command\r\n".into(),
        })
    })
    .await;
    let error = find(&[&mute], "main").await.unwrap_err();
    assert!(
        error.contains(&format!("sentinel 127.0.0.1:{}: ", mute.port)) && error.contains("sentinel|master"),
        "{error}"
    );
    assert_eq!(find(&[&mute, &sentinel(master.port).await], "main").await, Ok(master.port));
}

#[tokio::test]
async fn connections_to_a_former_master_are_outdated_without_any_call() {
    let (old, new) = (Fake::redis("master").await, Fake::redis("master").await);
    let told = Arc::new(Mutex::new(State::well(old.port)));
    let sentinel = sentinel_with(&told).await;
    let lifecycle = Lifecycle::new();
    let connector = Connector::start(target(&[&sentinel], "main"), &Keys::new("p"), &lifecycle);
    let before = connector.commands().await.unwrap();
    let mut generation = connector.generation();
    assert!(!connector.is_outdated(&before));
    *told.lock() = State::well(new.port);
    tokio::time::timeout(WATCH_EVERY * 8, generation.changed()).await.unwrap().unwrap();
    assert!(connector.is_outdated(&before));
    let after = connector.commands().await.unwrap();
    assert!(!connector.is_outdated(&after));
    assert!(lifecycle.finish(ELECT_TIMEOUT * 2).await);
}

#[tokio::test]
async fn connections_to_a_master_that_is_being_replaced_are_outdated_before_the_switch() {
    let old = Fake::redis("master").await;
    let told = Arc::new(Mutex::new(State::well(old.port)));
    let sentinels = [sentinel(old.port).await, sentinel(old.port).await, sentinel_with(&told).await];
    let lifecycle = Lifecycle::new();
    let connector =
        Connector::start(target(&[&sentinels[0], &sentinels[1], &sentinels[2]], "main"), &Keys::new("p"), &lifecycle);
    let before = connector.commands().await.unwrap();
    let mut generation = connector.generation();
    // Only waiting can show that they stay.
    assert!(tokio::time::timeout(WATCH_EVERY * 3, generation.changed()).await.is_err());
    told.lock().flags = "master,failover_in_progress";
    tokio::time::timeout(WATCH_EVERY * 8, generation.changed()).await.unwrap().unwrap();
    assert!(connector.is_outdated(&before));
    assert!(connector.commands().await.is_err());
    told.lock().flags = "master";
    connector.commands().await.unwrap();
    assert!(lifecycle.finish(ELECT_TIMEOUT * 2).await);
}

#[test]
fn each_address_once_and_the_one_named_most_often_first() {
    let address = |port| Address::Tcp { host: "a".into(), port };
    let named = |ports: &[u16]| ports.iter().map(|port| address(*port)).collect::<Vec<_>>();
    assert!(ranked(named(&[1, 2, 2, 3])) == named(&[2, 1, 3]));
    assert!(ranked(named(&[1, 2])) == named(&[1, 2]));
    assert!(has_majority(&named(&[1, 2, 2]), 3) && !has_majority(&named(&[1, 2]), 3) && !has_majority(&named(&[1]), 2));
}
