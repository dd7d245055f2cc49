//! Acknowledgements, and rooms whose rule wants more than the back end gives: a cluster in memory has
//! no replica and no disk.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{TestCluster, once};

const RULES: &str = r#"rooms.rules=["pay:*;durable=replica","audit;join=ADMIN;durable=disk"]"#;
const FEEDS: &str = r#"feeds=["news;read=anyone","prices;read=anyone;update=*;durable=disk"]"#;

#[tokio::test(start_paused = true)]
async fn what_cannot_be_reached_is_unavailable_and_neither_stored_nor_sent() {
    let cluster = TestCluster::with(2, &[RULES, FEEDS]).await;
    let [sender, other] = cluster.clients().await;
    for room in ["pay:1", "general"] {
        sender.join(room).await;
        other.join(room).await;
    }
    let message = json!({ "room": "pay:1", "content": "x", "clientId": "c" });
    sender.refused("send-message", message.clone(), "unavailable").await;
    let (status, _) = cluster.call(0, Method::POST, "/v1/rooms/pay:1/messages", &json!({ "content": "x" })).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let update = json!({ "type": "UPDATE", "data": {} });
    let (status, _) = cluster.call(0, Method::POST, "/v1/feeds/prices", &update).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);

    let answer = sender.done("send-message", json!({ "room": "general", "content": "y" })).await;
    assert_eq!(answer["durable"], "memory");
    let sent = cluster.post(1, "/v1/rooms/general/messages", &json!({ "content": "z" })).await;
    let published = cluster.post(1, "/v1/feeds/news", &update).await;
    assert_eq!((&sent["durable"], &published["durable"]), (&json!("memory"), &json!("memory")));
    cluster.quiet().await;
    let received = other.all("new-message");
    let contents: Vec<_> = received.iter().map(|message| &message["content"]).collect();
    assert_eq!(contents, [&json!("y"), &json!("z")]);

    // It has left the room: nothing was stored under this `clientId`.
    sender.done("leave-room", json!("pay:1")).await;
    sender.refused("send-message", message, "unavailable").await;
    let unknown = json!({ "room": "general", "content": "x", "clientId": "d" });
    sender.done("leave-room", json!("general")).await;
    sender.refused("send-message", unknown, "not_in_room").await;
}

#[tokio::test(start_paused = true)]
async fn a_repetition_says_what_was_reached_too() {
    let cluster = TestCluster::with(2, &[RULES]).await;
    let [sender] = cluster.clients().await;
    sender.join("general").await;
    let message = json!({ "room": "general", "content": "y", "clientId": "c" });
    let first = sender.done("send-message", message.clone()).await;
    sender.done("leave-room", json!("general")).await;
    assert_eq!(sender.done("send-message", message).await, first);
    assert_eq!(first["durable"], "memory");
    let path = "/v1/rooms/general/messages";
    let answers =
        [0, 1].map(async |node| once(&cluster, node, path, &json!({ "content": "z" }), "k").await.into_body());
    let [first, again] = answers;
    assert_eq!(first.await, again.await);
}

#[tokio::test(start_paused = true)]
async fn readyz_says_which_promises_are_not_kept_and_stays_ready() {
    let cluster = TestCluster::with(1, &[RULES, FEEDS]).await;
    let (status, body) = cluster.call(0, Method::GET, "/readyz", &Value::Null).await;
    assert_eq!((status, &body["status"]), (StatusCode::OK, &json!("ready")));
    let reason = "the cluster is in memory: set `redis.url`";
    let expected = json!([
        { "durable": "replica", "redis": "", "reason": reason, "rooms": ["pay:*"], "feeds": [] },
        { "durable": "disk", "redis": "", "reason": reason, "rooms": ["audit"], "feeds": ["prices"] },
    ]);
    assert_eq!(body["unkept"], expected);
    let plain = TestCluster::nodes(1).await;
    let (_, body) = plain.call(0, Method::GET, "/readyz", &Value::Null).await;
    assert!(body.get("unkept").is_none());
}
