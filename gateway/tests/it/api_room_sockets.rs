//! `/v1/rooms/{room}/join` and `/leave`: backends let sockets into rooms, and make them leave.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use crate::harness::{Client, TestCluster, User, stock::Stock};

fn names(client: &Client) -> Vec<String> {
    client.events().into_iter().map(|(name, _)| name).collect()
}

async fn order(cluster: &TestCluster, node: usize, what: &str, body: &Value) {
    let answer = cluster.call(node, Method::POST, &format!("/v1/rooms/r/{what}"), body).await;
    assert_eq!((answer.0.as_u16(), answer.1), (202, json!({})));
    cluster.quiet().await;
}

async fn send(cluster: &TestCluster, text: &str) {
    cluster.post(0, "/v1/rooms/r/messages", &json!({ "content": text })).await;
    cluster.quiet().await;
}

fn contents(client: &Client) -> Vec<String> {
    client.all("new-message").iter().map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn sockets_of_users_on_all_nodes_join_and_leave() {
    let cluster = TestCluster::many_sessions().await;
    let ana = [cluster.client_on(0, "ana").await, cluster.client_on(1, "ana").await];
    let [bob, carl] = [cluster.client_on(2, "bob").await, cluster.client_on(0, "carl").await];
    let chat = cluster.client_in("/chat", 1, "ana").await;
    carl.join("r").await;
    send(&cluster, "before").await;
    order(&cluster, 2, "join", &json!({ "users": ["ana", "bob", "ana", "nobody"] })).await;
    send(&cluster, "within").await;
    for client in ana.iter().chain([&bob]) {
        let mut events = names(client);
        events.retain(|name| !name.starts_with("client") && !name.starts_with("user:") && !name.starts_with("user-"));
        assert_eq!(events, ["authenticated", "notification:unread_count", "joined", "new-message"]);
        assert_eq!(client.all("joined"), [json!({ "room": "r" })]);
        assert_eq!(contents(client), ["within"]);
    }
    let joined: Vec<_> = carl.all("user-joined").iter().map(|joined| joined["userId"].clone()).collect();
    assert!(joined.contains(&json!("ana")) && joined.contains(&json!("bob")) && joined.len() == 2, "{joined:?}");
    assert_eq!(cluster.get(1, "/v1/rooms/r/members").await["count"], 3);
    // They are members like all others.
    bob.done("send-message", json!({ "room": "r", "content": "mine" })).await;
    order(&cluster, 0, "leave", &json!({ "sockets": [ana[0].id(), bob.id(), carl.id()] })).await;
    send(&cluster, "after").await;
    for (client, last) in [(&ana[0], "mine"), (&ana[1], "after"), (&bob, "mine"), (&carl, "mine")] {
        assert_eq!(contents(client).last().unwrap(), last);
    }
    assert_eq!(bob.all("left"), [json!({ "room": "r", "code": "by_backend" })]);
    let left: Vec<_> = ana[1].all("user-left").iter().map(|left| left["userId"].clone()).collect();
    assert!(left.contains(&json!("bob")) && left.contains(&json!("carl")) && left.len() == 2, "{left:?}");
    bob.refused("send-message", json!({ "room": "r", "content": "x" }), "not_in_room").await;
    assert!(!names(&chat).contains(&"joined".to_owned()), "it is in another namespace");
}

/// Twice the same, and for rooms that a socket is not in: nothing happens, and nothing is said.
#[tokio::test(start_paused = true)]
async fn repetitions_are_silent() {
    let cluster = TestCluster::many_sessions().await;
    let client = cluster.client_on(0, "ana").await;
    order(&cluster, 1, "leave", &json!({ "users": ["ana"] })).await;
    for _ in 0..3 {
        order(&cluster, 1, "join", &json!({ "users": ["ana"] })).await;
    }
    assert_eq!((client.all("joined").len(), client.all("left").len()), (1, 0));
    client.done("leave-room", json!("r")).await;
    order(&cluster, 1, "join", &json!({ "sockets": [client.id()], "namespace": "/" })).await;
    assert_eq!(client.all("joined").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_limit_on_rooms_holds_and_the_rules_do_not() {
    let set = ["session.policy=multi", "limits.rooms=2", "rooms.rules=secret-*;join=ADMIN"];
    let cluster = TestCluster::with(1, &set).await;
    let client = cluster.client("ana").await;
    client.refused("join-room", json!("secret-1"), "forbidden").await;
    for room in ["secret-1", "secret-2", "secret-3"] {
        cluster.post(0, &format!("/v1/rooms/{room}/join"), &json!({ "users": ["ana"] })).await;
    }
    cluster.quiet().await;
    let joined: Vec<_> = client.all("joined").iter().map(|joined| joined["room"].clone()).collect();
    assert_eq!(joined, ["secret-1", "secret-2"]);
}

/// The command waits behind what the client sent before, and in front of what it sends after.
#[tokio::test(start_paused = true)]
async fn a_command_runs_in_the_order_of_the_clients_packets() {
    let cluster = TestCluster::many_sessions().await;
    let client = cluster.client_on(0, "ana").await;
    for round in 0..20 {
        let before = client.start("send-message", &[json!({ "room": "r", "content": "x" })], None);
        order(&cluster, 0, "join", &json!({ "users": ["ana"] })).await;
        let after = client.start("send-message", &[json!({ "room": "r", "content": "x" })], None);
        assert_eq!(client.answer(before, "send-message").await["code"], "not_in_room", "{round}");
        assert_eq!(client.answer(after, "send-message").await["status"], "ok", "{round}");
        order(&cluster, 1, "leave", &json!({ "users": ["ana"] })).await;
    }
}

/// Every message after `joined` arrives, once and in order, while others send as fast as they can.
#[tokio::test(start_paused = true)]
async fn nothing_is_missed_after_joined() {
    let cluster = TestCluster::many_sessions().await;
    let [writer, reader] = [cluster.client_on(0, "writer").await, cluster.client_on(1, "reader").await];
    writer.join("r").await;
    for round in 0..30 {
        let joining = async {
            // At another moment in each round.
            for _ in 0..round {
                tokio::task::yield_now().await;
            }
            cluster.post(2, "/v1/rooms/r/join", &json!({ "users": ["reader"] })).await;
        };
        let writing = async {
            for n in 0..10 {
                writer.done("send-message", json!({ "room": "r", "content": format!("{round}-{n}") })).await;
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(joining, writing);
        cluster.quiet().await;
        send(&cluster, &format!("{round}-last")).await;
        order(&cluster, 2, "leave", &json!({ "users": ["reader"] })).await;
    }
    let events = reader.events();
    let (mut round, mut next, mut cut) = (0, None, 0);
    for (name, data) in events {
        match name.as_str() {
            "joined" => next = None,
            "new-message" => {
                let content = data[0]["content"].as_str().unwrap().to_owned();
                let (of, number) = content.split_once('-').unwrap();
                assert_eq!(of, round.to_string(), "{content}");
                if number == "last" {
                    assert!(next.is_none_or(|next| next == 10), "{content} after a hole");
                    cut += usize::from(next.is_some());
                    round += 1;
                } else {
                    let number: usize = number.parse().unwrap();
                    assert!(next.is_none_or(|next| next == number), "{content}, expected {next:?}");
                    next = Some(number + 1);
                }
            }
            _ => {}
        }
    }
    assert_eq!(round, 30);
    assert!(cut > 3, "some joins come between the messages: {cut}");
}

#[tokio::test(start_paused = true)]
async fn a_recovered_client_is_still_in_the_room() {
    let cluster = TestCluster::many_sessions().await;
    let (client, mut stock) = Stock::new(&cluster, 0, "ana").await;
    order(&cluster, 1, "join", &json!({ "users": ["ana"] })).await;
    assert_eq!(client.all("joined").len(), 1);
    stock.handled(&client);
    drop(client);
    cluster.quiet().await;
    send(&cluster, "missed").await;
    let (client, recovered) = stock.back(&cluster, 1).await;
    send(&cluster, "live").await;
    assert_eq!((recovered, contents(&client)), (true, vec!["missed".to_owned(), "live".to_owned()]));
    // One that left is not in it any more.
    stock.handled(&client);
    order(&cluster, 2, "leave", &json!({ "users": ["ana"] })).await;
    stock.handled(&client);
    drop(client);
    cluster.quiet().await;
    send(&cluster, "after").await;
    let (client, recovered) = stock.back(&cluster, 0).await;
    assert_eq!((recovered, contents(&client)), (true, vec![]));
}

/// A backend decides, but a later change of the user's roles counts.
#[tokio::test(start_paused = true)]
async fn a_change_of_roles_may_end_the_stay() {
    use jackfield_cluster::revocations::About;
    use jackfield_shared::time::unix_now;
    let set = ["session.policy=multi", "rooms.rules=*;join=ADMIN"];
    let cluster = TestCluster::with(2, &set).await;
    let client = cluster.client(User::new("ana")).await;
    order(&cluster, 1, "join", &json!({ "users": ["ana"] })).await;
    assert_eq!(client.all("joined").len(), 1);
    cluster.revoke("ana", About::Roles { roles: vec!["GUEST".into()].into(), issued_until: unix_now() }, "roles").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(client.all("left"), [json!({ "room": "r", "code": "forbidden" })]);
}

#[tokio::test(start_paused = true)]
async fn invalid_calls_are_refused() {
    let cluster = TestCluster::nodes(1).await;
    let many: Vec<String> = (0..1_001).map(|n| n.to_string()).collect();
    for (path, body) in [
        ("/v1/rooms/r/join", json!({})),
        ("/v1/rooms/r/join", json!({ "users": [] })),
        ("/v1/rooms/r/join", json!({ "users": many })),
        ("/v1/rooms/r/join", json!({ "users": ["u"], "sockets": [] })),
        ("/v1/rooms/r/leave", json!({ "sockets": ["short"] })),
        ("/v1/rooms/r/leave", json!({ "users": ["u"], "namespace": "/other" })),
        ("/v1/rooms/user:1/join", json!({ "users": ["u"] })),
    ] {
        let (status, answer) = cluster.call(0, Method::POST, path, &body).await;
        assert_eq!((status.as_u16(), &answer["code"]), (400, &json!("validation_failed")), "{path} {body}");
    }
}
