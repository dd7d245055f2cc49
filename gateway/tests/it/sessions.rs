//! One session per user, in the whole cluster.

use serde_json::json;

use crate::harness::{Client, TestCluster, User, is_timestamp};

/// Evicted by a newer session: got the reason, then a DISCONNECT, and nothing after it.
async fn assert_replaced(client: &Client) {
    client.disconnected().await;
    let events = client.events();
    assert_eq!(client.all("session:replaced").len(), 1);
    assert_eq!(events.last().unwrap().0, "session:replaced");
}

#[tokio::test(start_paused = true)]
async fn a_second_login_evicts_the_first_one_on_any_node() {
    let cluster = TestCluster::nodes(3).await;
    let witness = cluster.client_on(2, "bob").await;
    let first = cluster.client_on(0, "ana").await;
    let second = cluster.client_on(1, "ana").await;
    assert_replaced(&first).await;
    assert!(is_timestamp(&first.all("session:replaced")[0]["at"]));
    second.done("message", json!("I am the one")).await;
    assert_eq!(witness.next("message").await["sender"], second.id());
    let third = cluster.client_on(1, "ana").await;
    assert_replaced(&second).await;
    assert!(!third.is_disconnected());
    // A replaced session is no absence.
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert!(witness.all("user:offline").is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_client_in_two_namespaces_is_one_session_and_is_evicted_as_one() {
    let cluster = TestCluster::nodes(2).await;
    let main = cluster.client_on(0, "ana").await;
    let chat = main.also_in("/chat").await;
    main.done("message", json!("here")).await;
    chat.done("message", json!("and here")).await;
    let second = cluster.client_on(1, "ana").await;
    for client in [&main, &chat] {
        assert_replaced(client).await;
    }
    cluster.quiet().await;
    assert!(!second.is_disconnected());
}

#[tokio::test(start_paused = true)]
async fn leaving_a_namespace_keeps_the_session_and_leaving_the_last_one_ends_it() {
    let cluster = TestCluster::nodes(3).await;
    let witness = cluster.client_on(2, "bob").await;
    let main = cluster.client_on(0, "ana").await;
    let chat = main.also_in("/chat").await;
    witness.next_where("user:online", |data| data["userId"] == "ana").await;
    let online = async || witness.done("presence:subscribe", json!({ "userIds": ["ana"] })).await["online"].clone();

    main.leave_namespace();
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert!(witness.all("user:offline").is_empty());
    assert_eq!(online().await, json!(["ana"]));
    chat.done("message", json!("still here")).await;

    chat.cut();
    witness.next_where("user:offline", |data| data["userId"] == "ana").await;
    assert_eq!(online().await, json!([]));
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert_eq!(witness.all("user:offline").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn many_clients_of_few_users_end_as_one_each() {
    let cluster = TestCluster::nodes(3).await;
    let mut clients = Vec::new();
    for round in 0..20 {
        for user in 0..5 {
            let user = User::new(&format!("u{user}"));
            let client = cluster.stranger((round * 7 + user.id.len()) % 3);
            client.connect("/", &user.token());
            clients.push((user, client));
        }
    }
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let (gone, left): (Vec<_>, Vec<_>) = clients.iter().partition(|(_, client)| client.is_disconnected());
    let mut users: Vec<&str> = left.iter().map(|(user, _)| &*user.id).collect();
    users.sort_unstable();
    assert_eq!(users, ["u0", "u1", "u2", "u3", "u4"]);
    for (_, client) in gone {
        assert_replaced(client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_policy_decides_how_many_sessions_a_user_has() {
    let cluster = TestCluster::with(2, &["session.policy=2"]).await;
    let [one, two, three] =
        [cluster.client_on(0, "ana").await, cluster.client_on(1, "ana").await, cluster.client_on(0, "ana").await];
    assert_replaced(&one).await;
    cluster.quiet().await;
    assert!(!two.is_disconnected() && !three.is_disconnected());

    let cluster = TestCluster::with(2, &["session.onConflict=reject"]).await;
    let first = cluster.client_on(0, "ana").await;
    let second = cluster.stranger(1);
    second.connect("/", &User::new("ana").token());
    assert_eq!(second.refusal().await, "session_conflict");
    assert!(!first.is_disconnected());
}
