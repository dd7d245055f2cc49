//! `Idempotency-Key`: one call, however often it is sent and to which node.

use serde_json::{Value, json};

use crate::harness::{Client, TestCluster, is_timestamp, json_of, once};

fn messages(page: &Value, field: &str) -> Vec<Value> {
    page["messages"].as_array().unwrap().iter().map(|message| message[field].clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn messages_of_the_system_are_sent_once_per_idempotency_key_on_any_node_and_are_in_the_history() {
    let cluster = TestCluster::many_sessions().await;
    let clients: [Client; 3] = cluster.clients().await;
    for client in &clients {
        client.join("r").await;
    }
    let path = "/v1/rooms/r/messages";
    let hi = json!({ "content": "hi" });
    let first = once(&cluster, 0, path, &hi, "k").await;
    assert_eq!(first.status(), 201);
    assert!(!first.headers().contains_key("idempotency-replayed"));
    let body = json_of(&first);
    for node in [1, 2, 0, 1, 2] {
        let again = once(&cluster, node, path, &hi, "k").await;
        assert_eq!((again.status().as_u16(), json_of(&again)), (201, body.clone()));
        assert_eq!(again.headers()["idempotency-replayed"], "true");
    }
    cluster.quiet().await;
    for client in &clients {
        let mut received = client.all("new-message");
        assert_eq!(received.len(), 1);
        assert!(is_timestamp(&received[0]["timestamp"].take()));
        let expected = json!({
            "id": body["messageId"], "room": "r", "content": "hi", "sender": { "id": "system", "name": "System" },
            "timestamp": null,
        });
        assert_eq!(received[0], expected);
    }
    let other = once(&cluster, 0, path, &json!({ "content": "other" }), "k").await;
    assert_eq!((other.status().as_u16(), &json_of(&other)["code"]), (422, &json!("idempotency_key_reused")));

    let second = cluster.post(1, path, &json!({ "content": "second" })).await;
    let history = cluster.get(2, path).await;
    assert_eq!(messages(&history, "id"), [body["messageId"].clone(), second["messageId"].clone()]);
    let before = second["messageId"].as_str().unwrap();
    let older = cluster.get(2, &format!("{path}?limit=1&before={before}")).await;
    assert_eq!(messages(&older, "content"), ["hi"]);
    let members = cluster.get(0, "/v1/rooms/r/members").await;
    assert_eq!((&members["room"], &members["count"]), (&json!("r"), &json!(3)));
    let mut listed = members["members"].as_array().unwrap().clone();
    listed.sort_by_key(|member| member["userId"].to_string());
    assert_eq!(listed, clients.each_ref().map(|client| client.user.profile()));
    cluster.quiet().await;
    for client in &clients {
        let contents: Vec<_> = client.all("new-message").iter().map(|message| message["content"].clone()).collect();
        assert_eq!(contents, ["hi", "second"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_leaves_its_idempotency_key_free_for_the_corrected_call_on_any_node() {
    let cluster = TestCluster::many_sessions().await;
    let path = "/v1/rooms/r/messages";
    let wrong = once(&cluster, 0, path, &json!({ "content": "" }), "k").await;
    assert_eq!((wrong.status().as_u16(), &json_of(&wrong)["code"]), (400, &json!("validation_failed")));
    let right = once(&cluster, 1, path, &json!({ "content": "hi" }), "k").await;
    assert_eq!(right.status(), 201, "{}", json_of(&right));
    let again = once(&cluster, 2, path, &json!({ "content": "hi" }), "k").await;
    assert_eq!((again.status().as_u16(), json_of(&again)), (201, json_of(&right)));
    assert_eq!(messages(&cluster.get(0, path).await, "content"), ["hi"]);
}

#[tokio::test(start_paused = true)]
async fn an_idempotency_key_means_its_call_for_five_minutes() {
    let cluster = TestCluster::many_sessions().await;
    let path = "/v1/rooms/r/messages";
    let first = json_of(&once(&cluster, 0, path, &json!({ "content": "hi" }), "k").await);
    tokio::time::sleep(std::time::Duration::from_secs(299)).await;
    assert_eq!(json_of(&once(&cluster, 1, path, &json!({ "content": "hi" }), "k").await), first);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let later = once(&cluster, 2, path, &json!({ "content": "other" }), "k").await;
    assert_eq!(later.status(), 201, "{}", json_of(&later));
    assert_eq!(messages(&cluster.get(0, path).await, "content"), ["hi", "other"]);
}
