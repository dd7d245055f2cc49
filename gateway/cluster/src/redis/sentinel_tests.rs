use std::time::Instant;

use jackfield_shared::lifecycle::Lifecycle;

use super::*;
use crate::redis::{
    fake::{Fake, list},
    settings::RedisSettings,
    target::{Place, RedisTarget, RedisTopology},
};

/// A sentinel that names this server as the master `main`.
async fn sentinel(master: u16) -> Fake {
    Fake::start(move |command| {
        Some(match command[0].as_str() {
            "HELLO" => list(&["mode", "sentinel"]),
            _ if command[2] == "main" => list(&["127.0.0.1", &master.to_string()]),
            _ => "*-1\r\n".into(),
        })
    })
    .await
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
async fn connections_to_a_former_master_are_outdated_without_any_call() {
    let (old, new) = (Fake::redis("master").await, Fake::redis("master").await);
    let named = Arc::new(std::sync::atomic::AtomicU16::new(old.port));
    let answered = Arc::clone(&named);
    let sentinel = Fake::start(move |command| {
        let port = answered.load(std::sync::atomic::Ordering::Relaxed).to_string();
        Some(if command[0] == "HELLO" { list(&["mode", "sentinel"]) } else { list(&["127.0.0.1", &port]) })
    })
    .await;
    let lifecycle = Lifecycle::new();
    let connector = Connector::start(target(&[&sentinel], "main"), &super::super::keys::Keys::new("p"), &lifecycle);
    let before = connector.commands().await.unwrap();
    let mut generation = connector.generation();
    assert!(!connector.is_outdated(&before));
    named.store(new.port, std::sync::atomic::Ordering::Relaxed);
    tokio::time::timeout(WATCH_EVERY * 4, generation.changed()).await.unwrap().unwrap();
    assert!(connector.is_outdated(&before));
    let after = connector.commands().await.unwrap();
    assert!(!connector.is_outdated(&after));
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
