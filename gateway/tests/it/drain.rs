//! Drains: received events are answered, clients are let go without a DISCONNECT, and users are announced as gone only
//! after the grace.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use jackfield_engine::CloseReason;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::harness::{Client, TestCluster, ids};

/// The lease is much longer, so that nothing waits for its end.
const GRACE: Duration = Duration::from_secs(2);
const SET: [&str; 2] = ["presence.grace=2s", "presence.lease=60s"];
/// A node that has Redis takes its time; the cluster of a test is in memory all the same.
const WITH_REDIS: &str = "redis.url=redis://unused";

/// Let go by its node, so that a stock client reconnects by itself.
async fn assert_let_go(client: &Client) {
    assert_eq!(client.closed().await, CloseReason::Draining);
    assert!(!client.is_disconnected(), "a DISCONNECT is for good");
}

#[tokio::test(start_paused = true)]
async fn received_events_are_handled_and_answered_before_the_client_is_let_go() {
    let cluster = TestCluster::nodes(3).await;
    let watcher = cluster.client_on(0, "watcher").await;
    watcher.enter("room", None).await;
    let clients = [cluster.client_on(1, "ana").await, cluster.client_on(1, "bob").await];
    for client in &clients {
        client.enter("room", None).await;
    }
    let mut started = Vec::new();
    for number in 0..100 {
        for client in &clients {
            let data = json!({ "room": "room", "content": number.to_string() });
            started.push((client, client.start("send-message", &[data], None)));
        }
    }
    cluster.leave(1);
    for client in &clients {
        assert_let_go(client).await;
    }
    let mut acked = Vec::new();
    for (client, id) in started {
        acked.push(client.answer(id, "send-message").await["messageId"].as_str().unwrap().to_owned());
    }
    acked.sort_unstable();
    cluster.quiet().await;
    assert_eq!(ids(&watcher.room_messages("room")), acked);
    assert_eq!(acked.len(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_user_that_stays_away_is_announced_offline_once_after_the_grace_without_waiting_for_the_lease() {
    let cluster = TestCluster::with(3, &SET).await;
    let watcher = cluster.client_on(0, "watcher").await;
    watcher.enter("room", None).await;
    let ana = cluster.client_on(1, "ana").await;
    ana.enter("room", None).await;
    cluster.leave(1);
    assert_let_go(&ana).await;
    let began = Instant::now();
    let online = watcher.done("presence:subscribe", json!({ "userIds": ["ana"] })).await["online"].clone();
    assert_eq!(online, json!(["ana"]), "within the grace");

    watcher.next_where("user:offline", |data| data["userId"] == "ana").await;
    let took = began.elapsed();
    assert!(took >= GRACE - Duration::from_millis(100) && took <= GRACE + Duration::from_secs(2), "{took:?}");
    sleep(Duration::from_secs(120)).await;
    assert_eq!(watcher.all("user:offline").len(), 1);
    assert_eq!(watcher.all("user-left").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_back_on_another_node_within_the_grace_was_never_away_and_misses_nothing() {
    let cluster = TestCluster::with(3, &SET).await;
    let watcher = cluster.client_on(0, "watcher").await;
    watcher.enter("room", None).await;
    let ana = cluster.client_on(1, "ana").await;
    let position = ana.enter("room", None).await.answer["position"].as_str().unwrap().to_owned();
    cluster.leave(1);
    assert_let_go(&ana).await;
    let missed = watcher.send_to("room", "meanwhile").await;
    sleep(GRACE - Duration::from_millis(500)).await;

    let back = cluster.client_on(2, "ana").await;
    let joined = back.enter("room", Some(&position)).await;
    assert_eq!((ids(&joined.recent), &joined.answer["recovered"]), (vec![missed], &json!(true)));
    sleep(Duration::from_secs(120)).await;
    for event in ["user:offline", "user-left"] {
        assert_eq!(watcher.all(event), [Value::Null; 0], "{event}");
    }
    let online = watcher.all("user:online").into_iter().filter(|data| data["userId"] == "ana");
    assert_eq!(online.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn during_the_delay_the_node_is_unready_and_keeps_serving() {
    let cluster = TestCluster::with(1, &[WITH_REDIS, "drain.delay=60s", "drain.window=0s"]).await;
    let client = cluster.client("ana").await;
    let began = Instant::now();
    cluster.leave(0);
    sleep(Duration::from_secs(30)).await;
    let (status, body) = cluster.call(0, Method::GET, "/readyz", &Value::Null).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let parts = json!({ "redis": true, "pubSub": true, "keys": true, "staying": false });
    assert_eq!((&body["status"], &body["parts"]), (&json!("draining"), &parts));
    assert_eq!(cluster.state(0), "draining");
    let late = cluster.client("bob").await;
    for one in [&client, &late] {
        one.done("message", json!("still here")).await;
    }
    for one in [&client, &late] {
        assert_let_go(one).await;
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(60) && took < Duration::from_secs(61), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn clients_are_let_go_evenly_over_the_window() {
    let cluster = TestCluster::with(1, &[WITH_REDIS, "drain.delay=0s", "drain.window=2s"]).await;
    let mut clients = Vec::new();
    for number in 0..200 {
        clients.push(cluster.client(&*format!("user-{number}")).await);
    }
    let open = || clients.iter().filter(|client| client.is_open()).count();
    cluster.leave(0);
    for left in [150, 100, 50] {
        sleep(Duration::from_millis(500)).await;
        assert!(open().abs_diff(left) <= 10, "{} open, about {left} expected", open());
    }
    sleep(Duration::from_millis(600)).await;
    assert_eq!(open(), 0);
    for client in &clients {
        assert_let_go(client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_does_not_block_the_drain() {
    let cluster = TestCluster::nodes(2).await;
    let stuck = cluster.client_on(1, "stuck").await;
    stuck.stall(1_000);
    cluster.client_on(0, "sender").await.done("message-client", json!({ "message": "never read" })).await;
    cluster.quiet().await;
    let began = Instant::now();
    cluster.leave(1);
    assert_eq!(stuck.closed().await, CloseReason::Draining);
    assert!(began.elapsed() <= Duration::from_secs(4), "{:?}", began.elapsed());
    sleep(Duration::from_secs(2)).await;
    let nodes = cluster.get(0, "/v1/nodes").await;
    assert_eq!(nodes["nodes"].as_array().unwrap().len(), 1, "its lease ended with it: {nodes}");
}
