//! The receivers of `/v1/emit`: one socket, and everyone except some; and that a repetition is sent once.

use axum::http::Method;
use serde_json::{Value, json};

use crate::harness::{Client, TestCluster, once, stock::Stock};

/// Emits `n` from another node than the receivers' ones.
async fn emit(cluster: &TestCluster, n: usize, to: Value) {
    cluster.post(2, "/v1/emit", &json!({ "event": "n", "data": { "n": n }, "to": to })).await;
}

fn numbers(client: &Client) -> Vec<u64> {
    client.all("n").iter().map(|data| data["n"].as_u64().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn to_one_socket_whichever_node_it_is_on() {
    let cluster = TestCluster::many_sessions().await;
    let [one, other] = [cluster.client_on(0, "ana").await, cluster.client_on(1, "ana").await];
    let chat = cluster.client_in("/chat", 1, "bob").await;
    emit(&cluster, 1, json!({ "socket": one.id() })).await;
    emit(&cluster, 2, json!({ "socket": other.id(), "namespace": "/" })).await;
    emit(&cluster, 3, json!({ "socket": chat.id(), "namespace": "/chat" })).await;
    emit(&cluster, 4, json!({ "socket": chat.id() })).await;
    cluster.quiet().await;
    assert_eq!([&one, &other, &chat].map(numbers), [[1], [2], [3]]);
}

/// A client that joins a room named like another's socket gets nothing of what is for that socket.
#[tokio::test(start_paused = true)]
async fn no_room_stands_for_a_socket() {
    let cluster = TestCluster::many_sessions().await;
    let [victim, thief] = [cluster.client_on(0, "ana").await, cluster.client_on(1, "eve").await];
    thief.join(&victim.id()).await;
    emit(&cluster, 1, json!({ "socket": victim.id() })).await;
    cluster.quiet().await;
    assert_eq!([&victim, &thief].map(numbers), [vec![1], vec![]]);
}

#[tokio::test(start_paused = true)]
async fn except_sockets_users_and_rooms() {
    let cluster = TestCluster::many_sessions().await;
    let all = [
        cluster.client_on(0, "ana").await,
        cluster.client_on(1, "ana").await,
        cluster.client_on(0, "bob").await,
        cluster.client_on(1, "carl").await,
    ];
    for client in &all {
        client.join("r").await;
    }
    all[3].join("staff").await;
    let got = |expected: [&[u64]; 4]| assert_eq!(all.each_ref().map(numbers), expected.map(<[_]>::to_vec));
    emit(&cluster, 1, json!({ "everyone": true, "except": [all[0].id(), "user:bob"] })).await;
    emit(&cluster, 2, json!({ "room": "r", "except": ["staff", "nobody-there", "user:nobody"] })).await;
    emit(&cluster, 3, json!({ "user": "ana", "except": [all[1].id()] })).await;
    emit(&cluster, 4, json!({ "users": ["ana", "bob", "carl"], "except": ["user:ana", "staff"] })).await;
    emit(&cluster, 5, json!({ "room": "r", "except": [] })).await;
    emit(&cluster, 6, json!({ "room": "r", "except": ["r"] })).await;
    cluster.quiet().await;
    got([&[2, 3, 5], &[1, 2, 5], &[2, 4, 5], &[1, 5]]);
}

/// The exceptions of an event for a user hold for a client that was away, too.
#[tokio::test(start_paused = true)]
async fn a_recovered_socket_does_not_get_what_excepts_it() {
    let cluster = TestCluster::many_sessions().await;
    let (client, mut stock) = Stock::new(&cluster, 0, "ana").await;
    let id = client.id();
    stock.handled(&client);
    drop(client);
    cluster.quiet().await;
    emit(&cluster, 1, json!({ "user": "ana", "except": [id, "r"] })).await;
    emit(&cluster, 2, json!({ "user": "ana" })).await;
    let (client, recovered) = stock.back(&cluster, 1).await;
    cluster.quiet().await;
    assert_eq!((recovered, numbers(&client)), (true, vec![2]));
}

/// The first call's reply answers the others; that the emission itself is sent once even without that reply is in the
/// contracts of the bus and of the user's log.
#[tokio::test(start_paused = true)]
async fn a_repetition_under_an_idempotency_key_is_sent_once() {
    let cluster = TestCluster::many_sessions().await;
    let client = cluster.client_on(0, "ana").await;
    client.join("r").await;
    let receivers = [
        json!({ "user": "ana" }),
        json!({ "room": "r" }),
        json!({ "everyone": true }),
        json!({ "socket": client.id() }),
    ];
    for (n, to) in receivers.into_iter().enumerate() {
        let call = json!({ "event": "n", "data": { "n": n }, "to": to });
        for node in [0, 1, 2, 0] {
            let answer = once(&cluster, node, "/v1/emit", &call, &format!("key-{n}")).await;
            assert_eq!(answer.status().as_u16(), 202);
        }
        // Without a key, it is another emission.
        cluster.call(0, Method::POST, "/v1/emit", &call).await;
    }
    cluster.quiet().await;
    assert_eq!(numbers(&client), [0, 0, 1, 1, 2, 2, 3, 3]);
}
