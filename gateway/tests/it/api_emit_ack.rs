//! `/v1/emit` with `ack`: the clients' acknowledgements, from every node.

use std::time::Duration;

use axum::http::Method;
use bytes::Bytes;
use jackfield_engine::{Inbound, Parts};
use serde_json::{Value, json};

use crate::harness::{Client, TestCluster};

async fn emit(cluster: &TestCluster, to: Value, timeout: u32) -> (u16, Value) {
    let call = json!({ "event": "sum", "data": { "a": 1 }, "to": to, "ack": true, "timeout": timeout });
    let (status, answer) = cluster.call(2, Method::POST, "/v1/emit", &call).await;
    (status.as_u16(), answer)
}

/// Answers the next question with the client's user.
async fn answer(client: &Client) {
    let id = client.asked("sum").await;
    client.acknowledge(id, &json!([client.user.id, { "n": 7 }]), None);
}

/// The answers by socket, and the number of missing ones.
fn sorted(mut answer: Value) -> (Vec<Value>, u64) {
    let Value::Array(mut acks) = answer["acks"].take() else { panic!("{answer}") };
    acks.sort_by_key(|ack| ack["socketId"].to_string());
    (acks, answer["missing"].as_u64().unwrap())
}

fn expected(clients: &[&Client]) -> Vec<Value> {
    let one = |client: &&Client| {
        let user = &client.user.id;
        json!({ "socketId": client.id(), "user": user, "args": [user, { "n": 7 }] })
    };
    let mut all: Vec<_> = clients.iter().map(one).collect();
    all.sort_by_key(|ack| ack["socketId"].to_string());
    all
}

#[tokio::test(start_paused = true)]
async fn every_receiver_is_asked_once_on_every_node() {
    let cluster = TestCluster::many_sessions().await;
    let ana = [cluster.client_on(0, "ana").await, cluster.client_on(1, "ana").await];
    let bob = cluster.client_in("/chat", 1, "bob").await;
    let carl = cluster.client_on(2, "carl").await;
    ana[0].join("r").await;
    carl.join("r").await;
    let all = [&ana[0], &ana[1], &bob, &carl];
    for (to, asked) in [
        (json!({ "user": "ana" }), vec![&ana[0], &ana[1]]),
        (json!({ "users": ["ana", "bob", "nobody"] }), vec![&ana[0], &ana[1], &bob]),
        (json!({ "room": "r" }), vec![&ana[0], &carl]),
        (json!({ "everyone": true, "except": ["user:carl"] }), vec![&ana[0], &ana[1]]),
        (json!({ "everyone": true, "namespace": "/chat" }), vec![&bob]),
        (json!({ "socket": ana[1].id() }), vec![&ana[1]]),
    ] {
        let begun = tokio::time::Instant::now();
        let answers = futures_util::future::join_all(asked.iter().map(|client| answer(client)));
        let ((status, got), _) = tokio::join!(emit(&cluster, to.clone(), 5_000), answers);
        assert_eq!((status, sorted(got)), (200, (expected(&asked), 0)), "{to}");
        assert!(begun.elapsed() < Duration::from_secs(1), "it does not wait for anything else");
        let events: usize = all.iter().map(|client| client.all("sum").len()).sum();
        assert_eq!(events, asked.len(), "{to}");
        all.iter().for_each(|client| client.forget("sum"));
    }
}

#[tokio::test(start_paused = true)]
async fn sockets_that_do_not_answer_in_time_are_missing() {
    let cluster = TestCluster::many_sessions().await;
    let [good, silent, late] =
        [cluster.client_on(0, "good").await, cluster.client_on(1, "silent").await, cluster.client_on(0, "late").await];
    let begun = tokio::time::Instant::now();
    let answering = async {
        answer(&good).await;
        let id = late.asked("sum").await;
        tokio::time::sleep(Duration::from_millis(701)).await;
        late.acknowledge(id, &json!([1]), None);
    };
    let ((status, got), ()) = tokio::join!(emit(&cluster, json!({ "everyone": true }), 700), answering);
    assert_eq!((status, sorted(got)), (200, (expected(&[&good]), 2)));
    assert!((700..1_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    assert!(late.is_open() && silent.is_open());
}

#[tokio::test(start_paused = true)]
async fn nobody_there_is_answered_at_once() {
    let cluster = TestCluster::many_sessions().await;
    let id = cluster.client_on(0, "ana").await.id();
    cluster.quiet().await;
    for to in [json!({ "user": "nobody" }), json!({ "room": "r" }), json!({ "socket": id })] {
        let begun = tokio::time::Instant::now();
        assert_eq!(emit(&cluster, to, 5_000).await, (200, json!({ "acks": [], "missing": 0 })));
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn binary_parts_come_back_as_base64() {
    let cluster = TestCluster::nodes(3).await;
    let client = cluster.client_on(1, "ana").await;
    let answering = async {
        let id = client.asked("sum").await;
        let args = json!([{ "at": [{ "_placeholder": true, "num": 0 }] }, 1]);
        client.acknowledge(id, &args, Some(Parts::one(Bytes::from_static(&[1, 2]))));
    };
    let ((_, got), ()) = tokio::join!(emit(&cluster, json!({ "socket": client.id() }), 5_000), answering);
    assert_eq!(got["acks"][0]["args"], json!([{ "at": [{ "$binary": "AQI=" }] }, 1]));
}

/// Acknowledgements that nobody waits for, repeated ones, another socket's, and wrong ones change nothing.
#[tokio::test(start_paused = true)]
async fn strange_acknowledgements_are_ignored() {
    let cluster = TestCluster::nodes(3).await;
    let [client, other] = [cluster.client_on(1, "ana").await, cluster.client_on(1, "eve").await];
    let answering = async {
        let id = client.asked("sum").await;
        other.acknowledge(id, &json!(["stolen"]), None);
        client.acknowledge(id + 1, &json!(["unknown"]), None);
        client.at("/chat").acknowledge(id, &json!(["elsewhere"]), None);
        client.acknowledge(id, &json!(["good"]), None);
        client.acknowledge(id, &json!(["again"]), None);
    };
    let ((_, got), ()) = tokio::join!(emit(&cluster, json!({ "user": "ana" }), 5_000), answering);
    assert_eq!((got["acks"][0]["args"].clone(), got["acks"].as_array().unwrap().len()), (json!(["good"]), 1));
    for content in ["[", "{}", "[1]x"] {
        let answering = async {
            let id = client.asked("sum").await;
            client.send(&Inbound::Ack { namespace: "/", id, content, parts: None });
        };
        let ((_, got), ()) = tokio::join!(emit(&cluster, json!({ "user": "ana" }), 100), answering);
        assert_eq!(got, json!({ "acks": [], "missing": 1 }), "{content}");
    }
    assert!(client.is_open() && other.is_open());
}

#[tokio::test(start_paused = true)]
async fn answers_are_bounded() {
    let cluster = TestCluster::with(2, &["session.policy=multi", "limits.payload=0"]).await;
    let mut clients = Vec::new();
    for n in 0..20 {
        clients.push(cluster.client_on(n % 2, "ana").await);
    }
    let answering = async {
        for (n, client) in clients.iter().enumerate() {
            let id = client.asked("sum").await;
            let bytes = if n == 0 { 64 * 1024 } else { 60_000 };
            client.acknowledge(id, &json!(["x".repeat(bytes)]), None);
        }
    };
    let call = json!({ "event": "sum", "to": { "user": "ana" }, "ack": true, "timeout": 500 });
    let (got, ()) = tokio::join!(cluster.post(1, "/v1/emit", &call), answering);
    assert_eq!((got["acks"].as_array().unwrap().len(), &got["missing"]), (17, &json!(3)), "a megabyte in all");
}

/// A crowd is refused before anyone gets the event.
#[tokio::test(start_paused = true)]
async fn too_many_receivers_are_refused() {
    let cluster = TestCluster::with(2, &["session.policy=multi", "roster.max=1"]).await;
    let mut clients = Vec::new();
    for n in 0..1_001 {
        clients.push(cluster.client_on(n % 2, "ana").await);
    }
    let call = json!({ "event": "sum", "to": { "everyone": true }, "ack": true });
    let (status, answer) = cluster.call(0, Method::POST, "/v1/emit", &call).await;
    assert_eq!((status.as_u16(), &answer["code"]), (422, &json!("too_many_receivers")));
    assert!(answer["message"].as_str().unwrap().contains("1001"), "{answer}");
    cluster.quiet().await;
    assert!(clients.iter().all(|client| client.all("sum").is_empty()));
    for timeout in [0, 30_001] {
        let call = json!({ "event": "sum", "to": { "user": "u" }, "ack": true, "timeout": timeout });
        assert_eq!(cluster.call(0, Method::POST, "/v1/emit", &call).await.0.as_u16(), 400);
    }
}
