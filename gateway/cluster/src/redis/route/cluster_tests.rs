use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::{
    Unavailable,
    redis::{
        fake::{Fake, list},
        link::RedisLink,
        settings::RedisSettings,
    },
};

/// Everything is at this port.
fn slots(port: u16) -> String {
    format!("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:{port}\r\n$2\r\nid\r\n")
}

/// A node of a Cluster that has all slots; it answers commands as the test says, which gets
/// whether ASKING came before.
async fn node(answer: impl Fn(&str, bool) -> Option<String> + Send + Sync + 'static) -> (Fake, Arc<AtomicUsize>) {
    let (calls, counted) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(0)));
    let (count, port) = (Arc::clone(&calls), Arc::clone(&counted));
    let is_asking = Mutex::new(false);
    let fake = Fake::start(move |command| {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let was_asking = std::mem::replace(&mut *is_asking.lock(), words[0] == "ASKING");
        match words[..] {
            ["HELLO", ..] => Some(list(&["mode", "cluster", "role", "master"])),
            ["CLUSTER", "INFO"] => Some("$16\r\ncluster_state:ok\r\n".into()),
            ["CLUSTER", "SLOTS"] => Some(slots(*port.lock())),
            ["ASKING"] => Some("+OK\r\n".into()),
            ["INFO", _] => Some("$0\r\n\r\n".into()),
            [_, key] => {
                count.fetch_add(1, Ordering::Relaxed);
                answer(key, was_asking)
            }
            _ => Some("-ERR unknown command\r\n".into()),
        }
    })
    .await;
    *counted.lock() = fake.port;
    (fake, calls)
}

async fn get(link: &RedisLink, key: &str) -> Result<String, Unavailable> {
    link.command(Partition::FIRST, redis::cmd("GET").arg(key)).await
}

fn cluster(seed: &Fake, lifecycle: &Lifecycle) -> RedisLink {
    let settings = RedisSettings { urls: vec![seed.url()], cluster: true, ..RedisSettings::default() };
    RedisLink::new(settings.topology().unwrap(), "test", lifecycle)
}

#[tokio::test]
async fn what_a_node_did_not_run_is_brought_to_the_one_that_does() {
    let (other, _) = node(|key, was_asking| {
        Some(match (key, was_asking) {
            ("asked", false) => "-MOVED 1 127.0.0.1:1\r\n".into(),
            _ => format!("+{key} there\r\n"),
        })
    })
    .await;
    let port = other.port;
    let attempts = AtomicUsize::new(0);
    let (first, _) = node(move |key, _| {
        Some(match key {
            "moved" => format!("-MOVED 1 127.0.0.1:{port}\r\n"),
            "asked" => format!("-ASK 1 127.0.0.1:{port}\r\n"),
            "again" if attempts.fetch_add(1, Ordering::Relaxed) < 3 => "-TRYAGAIN later\r\n".into(),
            "down" => "-CLUSTERDOWN Hash slot not served\r\n".into(),
            _ => format!("+{key} here\r\n"),
        })
    })
    .await;
    let lifecycle = Lifecycle::new();
    let link = cluster(&first, &lifecycle);
    assert_eq!(get(&link, "plain").await.unwrap(), "plain here");
    assert_eq!(get(&link, "asked").await.unwrap(), "asked there", "ASKING comes first");
    assert_eq!(get(&link, "plain").await.unwrap(), "plain here", "ASK moves nothing");
    assert_eq!(get(&link, "again").await.unwrap(), "again here");
    assert_eq!(get(&link, "down").await, Err(Unavailable), "within the time of a call");
    assert_eq!(get(&link, "moved").await.unwrap(), "moved there");
    lifecycle.stop();
}

#[tokio::test]
async fn a_command_whose_connection_was_lost_is_not_sent_again() {
    let (only, calls) = node(|key, _| Some(if key == "lost" { String::new() } else { "+OK\r\n".into() })).await;
    let lifecycle = Lifecycle::new();
    let link = cluster(&only, &lifecycle);
    assert_eq!(get(&link, "lost").await, Err(Unavailable));
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(get(&link, "later").await.unwrap(), "OK");
    lifecycle.stop();
}

#[tokio::test]
async fn nothing_is_sent_to_a_redis_that_is_no_cluster() {
    let plain = Fake::start(|command| {
        Some(match command[0].as_str() {
            "HELLO" => list(&["mode", "standalone", "role", "master"]),
            "CLUSTER" => "-ERR This instance has cluster support disabled\r\n".into(),
            _ => "+OK\r\n".into(),
        })
    })
    .await;
    let lifecycle = Lifecycle::new();
    assert_eq!(get(&cluster(&plain, &lifecycle), "key").await, Err(Unavailable));
    let target = match (RedisSettings { url: plain.url(), ..RedisSettings::default() }).topology() {
        Ok(crate::RedisTopology::One(target)) => target,
        _ => panic!("one"),
    };
    let error = view(&Server::new(target, &Keys::new("p"), &lifecycle)).await.err().unwrap().to_string();
    assert_eq!(error, "this Redis is no node of a Redis Cluster: do not set `redis.cluster`");
    lifecycle.stop();
}

#[tokio::test]
async fn a_node_that_is_down_is_not_asked_alone() {
    let (well, _) = node(|_, _| Some("+OK\r\n".into())).await;
    let urls = vec![Fake::nowhere().url(), well.url()];
    let settings = RedisSettings { urls, cluster: true, ..RedisSettings::default() };
    let lifecycle = Lifecycle::new();
    let link = RedisLink::new(settings.topology().unwrap(), "test", &lifecycle);
    assert_eq!(get(&link, "key").await.unwrap(), "OK");
    lifecycle.stop();
}
