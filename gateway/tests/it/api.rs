//! The HTTP API for backends: any node answers for the whole cluster.

use axum::http::Method;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Client, TestCluster, call, is_timestamp, json_of, once};

/// One client of a user of its own on each node.
async fn on_each_node(cluster: &TestCluster) -> [Client; 3] {
    [cluster.client_on(0, "ana").await, cluster.client_on(1, "bob").await, cluster.client_on(2, "carl").await]
}

#[tokio::test(start_paused = true)]
async fn emit_to_a_user_reaches_every_socket_of_the_user_in_both_namespaces_and_no_other() {
    let cluster = TestCluster::many_sessions().await;
    let mine = [
        cluster.client_on(0, "ana").await,
        cluster.client_on(1, "ana").await,
        cluster.client_on(2, "ana").await,
        cluster.client_in("/chat", 1, "ana").await,
    ];
    let other = cluster.client_on(0, "bob").await;
    let data = json!({ "type": "order", "data": { "id": 7, "text": "ñ \"quoted\" 👋" } });
    for node in 0..3 {
        let event = format!("data:updated-{node}");
        let emit = json!({ "event": event, "data": data, "to": { "user": "ana" } });
        let (status, answer) = cluster.call(node, Method::POST, "/v1/emit", &emit).await;
        assert_eq!((status.as_u16(), answer), (202, json!({ "delivered": 4 })));
        for client in &mine {
            let mut received = client.next(&event).await;
            let timestamp = received.as_object_mut().unwrap().remove("timestamp").unwrap();
            assert!(is_timestamp(&timestamp), "{timestamp}");
            assert_eq!(received, data);
        }
    }
    cluster.quiet().await;
    for client in &mine {
        assert_eq!(client.events().iter().filter(|(name, _)| name.starts_with("data:updated")).count(), 3, "each once");
    }
    assert!(other.events().iter().all(|(name, _)| !name.starts_with("data:updated")));
}

#[tokio::test(start_paused = true)]
async fn emit_to_users_to_a_room_and_to_everyone_in_a_namespace() {
    let cluster = TestCluster::many_sessions().await;
    let clients = on_each_node(&cluster).await;
    let chat = cluster.client_in("/chat", 0, "dora").await;
    for member in [&clients[0], &clients[2]] {
        member.join("r").await;
    }

    let users = json!(["ana", "bob", "ana", "nobody", "somebody"]);
    let emit = json!({ "event": "for-two", "data": {}, "to": { "users": users } });
    let (status, answer) = cluster.call(2, Method::POST, "/v1/emit", &emit).await;
    assert_eq!((status.as_u16(), answer), (202, json!({ "delivered": 2 })));
    let emit = json!({ "event": "in-room", "data": { "n": 1 }, "to": { "room": "r" } });
    assert_eq!(cluster.post(1, "/v1/emit", &emit).await, json!({}));
    let everyone = json!({ "event": "for-all", "data": { "n": 2 }, "to": { "everyone": true } });
    cluster.post(0, "/v1/emit", &everyone).await;
    let to = json!({ "everyone": true, "namespace": "/chat" });
    cluster.post(0, "/v1/emit", &json!({ "event": "for-chat", "data": { "n": 3 }, "to": to })).await;

    cluster.quiet().await;
    let numbers = |client: &Client, event| client.all(event).iter().map(|data| data["n"].clone()).collect::<Vec<_>>();
    let received = |client: &Client| {
        (
            client.all("for-two").len(),
            numbers(client, "in-room"),
            numbers(client, "for-all"),
            numbers(client, "for-chat"),
        )
    };
    let (one, two, three) = (vec![json!(1)], vec![json!(2)], vec![json!(3)]);
    assert_eq!(received(&clients[0]), (1, one.clone(), two.clone(), vec![]));
    assert_eq!(received(&clients[1]), (1, vec![], two.clone(), vec![]));
    assert_eq!(received(&clients[2]), (0, one, two, vec![]));
    assert_eq!(received(&chat), (0, vec![], vec![], three));
}

#[tokio::test(start_paused = true)]
async fn presence_from_any_node_of_one_user_and_of_many() {
    let cluster = TestCluster::many_sessions().await;
    let absent = json!({ "userId": "ana", "online": false, "sockets": 0, "since": null });
    assert_eq!(cluster.get(0, "/v1/users/ana").await, absent);
    let begun = chrono::Utc::now().timestamp_millis();
    let _first = cluster.client_on(0, "ana").await;
    let second_begins = chrono::Utc::now().timestamp_millis();
    let _second = cluster.client_on(1, "ana").await;
    for node in 0..3 {
        let mut status = cluster.get(node, "/v1/users/ana").await;
        let since = status["since"].take();
        assert_eq!(status, json!({ "userId": "ana", "online": true, "sockets": 2, "since": null }));
        assert!(is_timestamp(&since), "{since}");
        let since = chrono::DateTime::parse_from_rfc3339(since.as_str().unwrap()).unwrap().timestamp_millis();
        assert!((begun..=second_begins).contains(&since), "since the first of them: {begun} {since} {second_begins}");
    }
    let many = cluster.post(2, "/v1/users/status", &json!({ "userIds": ["nobody", "ana", "nobody"] })).await;
    let users = many["users"].as_array().unwrap().iter();
    let users: Vec<_> = users.map(|user| (&user["userId"], &user["online"], &user["sockets"])).collect();
    assert_eq!(users, [(&json!("nobody"), &json!(false), &json!(0)), (&json!("ana"), &json!(true), &json!(2))]);
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_ends_all_sessions_of_the_user_for_good() {
    let cluster = TestCluster::many_sessions().await;
    let devices = [cluster.client_on(0, "ana").await, cluster.client_on(1, "ana").await];
    let other = cluster.client_on(0, "bob").await;
    let reason = json!({ "reason": "enough" });
    let (status, answer) = cluster.call(2, Method::POST, "/v1/users/ana/disconnect", &reason).await;
    assert_eq!((status.as_u16(), answer), (202, json!({ "sessions": 2 })));
    for device in &devices {
        device.disconnected().await;
        let ended = device.all("session:ended");
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0]["reason"], "enough");
        assert!(is_timestamp(&ended[0]["at"]));
        assert_eq!(device.events().last().unwrap().0, "session:ended");
    }
    cluster.quiet().await;
    assert_eq!(cluster.get(0, "/v1/users/ana").await["sockets"], 0);
    assert!(!other.is_disconnected() && other.all("session:ended").is_empty());
}

#[tokio::test(start_paused = true)]
async fn notifications_are_stored_counted_listed_and_deleted_and_the_same_for_many() {
    let cluster = TestCluster::many_sessions().await;
    let device = cluster.client_on(2, "ana").await;
    device.next("notification:unread_count").await;
    let inbox = "/v1/users/ana/notifications";
    let wanted = json!({ "title": "Order", "message": "It is on its way", "type": "info", "data": { "id": 7 } });
    let first = once(&cluster, 0, inbox, &wanted, "k").await;
    let stored = json_of(&first);
    let id = stored["notificationId"].as_str().unwrap();
    assert_eq!(first.status(), 201);
    assert_eq!(stored, json!({ "notificationId": id, "unreadCount": 1, "delivered": 1 }));
    assert_eq!(json_of(&once(&cluster, 1, inbox, &wanted, "k").await), stored);
    let new = device.next("notification:new").await;
    let mut expected = wanted.clone();
    expected["id"] = json!(id);
    assert_eq!(new["notification"], expected);
    assert!(is_timestamp(&new["timestamp"]), "{new}");

    let many = json!({
        "userIds": ["ana", "bob"], "title": "Order", "message": "It is on its way", "type": "info",
    });
    let (status, many) = cluster.call(1, Method::POST, "/v1/users/notifications", &many).await;
    assert_eq!((status.as_u16(), &many["users"], &many["delivered"]), (201, &json!(2), &json!(1)));
    let list = cluster.get(2, inbox).await;
    let ids: Vec<_> = list["notifications"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, [&many["notificationId"], &json!(id)]);
    assert_eq!((&list["unreadCount"], &list["more"]), (&json!(2), &json!(false)));
    assert_eq!(cluster.get(0, "/v1/users/bob/notifications").await["unreadCount"], 1);

    let path = format!("{inbox}/{id}");
    assert_eq!(cluster.call(2, Method::DELETE, &path, &Value::Null).await, (204.try_into().unwrap(), Value::Null));
    assert_eq!(cluster.call(2, Method::DELETE, &path, &Value::Null).await.0, 404);
    cluster.quiet().await;
    let deleted = device.all("notification:deleted");
    assert_eq!(deleted.len(), 1);
    assert_eq!(deleted[0]["notificationId"], id);
    let counts: Vec<_> =
        device.all("notification:unread_count").iter().map(|count| count["unreadCount"].clone()).collect();
    assert_eq!(counts, [0, 1, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn nodes_and_their_sockets() {
    /// Longer than between two heartbeats.
    const REPORTED: std::time::Duration = std::time::Duration::from_secs(5);
    let cluster = TestCluster::many_sessions().await;
    let clients = on_each_node(&cluster).await;
    for client in &clients[..2] {
        client.join("r").await;
    }
    tokio::time::sleep(REPORTED).await;
    let answer = cluster.get(1, "/v1/nodes").await;
    let nodes = answer["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 3);
    for node in nodes {
        assert_eq!((&node["sockets"], &node["draining"]), (&json!(1), &json!(false)), "{node}");
        assert_eq!(node["version"], env!("CARGO_PKG_VERSION"));
        assert!(node["age"].is_u64() && is_timestamp(&node["startedAt"]), "{node}");
        assert!(node["address"].as_str().unwrap().contains(':'), "{node}");
    }
    assert!(nodes.is_sorted_by(|a, b| a["id"].as_str() < b["id"].as_str()), "{answer}");
    assert_eq!(cluster.get(2, "/v1/stats").await, json!({ "nodes": 3, "users": 3, "sockets": 3, "rooms": 1 }));

    // A user's further devices, on other nodes too, count as sockets, not as users.
    let devices = join_all((0..3).map(|node| cluster.client_on(node, "dora"))).await;
    tokio::time::sleep(REPORTED).await;
    assert_eq!(cluster.get(0, "/v1/stats").await, json!({ "nodes": 3, "users": 4, "sockets": 6, "rooms": 1 }));
    drop(devices);
    tokio::time::sleep(REPORTED).await;
    assert_eq!(cluster.get(0, "/v1/stats").await, json!({ "nodes": 3, "users": 3, "sockets": 3, "rooms": 1 }));
}

#[tokio::test(start_paused = true)]
async fn the_openapi_document_has_every_call_and_the_page_shows_it_without_a_key() {
    let cluster = TestCluster::nodes(1).await;
    let document = call(&cluster, 0, "", (Method::GET, "/v1/openapi.json"), "", &[]).await;
    let document = json_of(&document);
    let calls =
        document["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
        });
    let mut calls: Vec<_> = calls.collect();
    calls.sort_unstable();
    let expected = [
        "delete /v1/users/{id}/notifications/{notificationId}",
        "get /v1/facts",
        "get /v1/hooks",
        "get /v1/hooks/{name}/dead",
        "get /v1/nodes",
        "get /v1/rooms/{room}/members",
        "get /v1/rooms/{room}/messages",
        "get /v1/stats",
        "get /v1/users/{id}",
        "get /v1/users/{id}/notifications",
        "post /v1/batch",
        "post /v1/emit",
        "post /v1/feeds/{feed}",
        "post /v1/hooks/{name}/dead/retry",
        "post /v1/rooms/{room}/join",
        "post /v1/rooms/{room}/leave",
        "post /v1/rooms/{room}/messages",
        "post /v1/users/notifications",
        "post /v1/users/status",
        "post /v1/users/{id}/disconnect",
        "post /v1/users/{id}/notifications",
        "post /v1/users/{id}/revoke",
    ];
    assert_eq!(calls, expected);
    let page = call(&cluster, 0, "", (Method::GET, "/v1"), "", &[]).await;
    assert_eq!(page.status(), 200);
    assert!(String::from_utf8_lossy(page.body()).contains("swagger-ui"));
}
