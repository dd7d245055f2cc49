//! Refused messages and events: the error says why, and nothing else happens.

use serde_json::json;

use crate::harness::{TestCluster, ids, members, room_log, send_many};

const ROOM: &str = "room";

#[tokio::test(start_paused = true)]
async fn an_invalid_message_is_refused_and_nothing_of_it_is_stored_or_sent() {
    let cluster = TestCluster::nodes(3).await;
    let [sender, other, _] = members(&cluster, ROOM).await;
    let wrong = [
        (vec![], "room"),
        (vec![json!({ "content": "x" })], "room"),
        (vec![json!({ "room": ROOM })], "content"),
        (vec![json!({ "room": ROOM, "content": "" })], "content"),
        (vec![json!({ "room": ROOM, "content": "x".repeat(1_001) })], "content"),
        (vec![json!({ "room": ROOM, "content": "x", "clientId": "x".repeat(65) })], "clientId"),
        (vec![json!({ "room": ROOM, "content": "x", "clientId": "" })], "clientId"),
        (vec![json!({ "room": ROOM, "content": 5 })], "content"),
    ];
    for (data, field) in &wrong {
        let message = sender.invalid("send-message", data, None).await;
        assert!(message.contains(field), "{message}");
        let Some(data) = data.first() else { continue };
        sender.emit("send-message", data.clone());
        let error = sender.next("error").await;
        let expected = json!({
            "status": "error", "code": "validation_failed", "message": message, "event": "send-message",
        });
        assert_eq!(error, expected, "without an acknowledgement");
    }
    let stored = send_many(&[&sender], ROOM, 1).await;
    cluster.quiet().await;
    assert_eq!(ids(&other.room_messages(ROOM)), stored);
    assert_eq!(ids(&room_log(&sender, ROOM).await), stored);
    assert_eq!(sender.all("error").len(), wrong.len() - 1);
    assert!(other.all("error").is_empty());
}

#[tokio::test(start_paused = true)]
async fn lengths_are_counted_in_characters_not_in_bytes() {
    let cluster = TestCluster::nodes(2).await;
    let [sender, other, _] = members(&cluster, ROOM).await;
    let content = "👋".repeat(1_000);
    let data = json!({ "room": ROOM, "content": content, "clientId": "👋".repeat(64) });
    sender.done("send-message", data).await;
    assert_eq!(other.next("new-message").await["content"], content);
}

#[tokio::test(start_paused = true)]
async fn errors_of_all_events_name_the_wrong_field() {
    let cluster = TestCluster::nodes(3).await;
    let [sender, ..] = members(&cluster, ROOM).await;
    let long = "x".repeat(1_001);
    let mut wrong = vec![
        ("room-message", json!({ "room": ROOM, "message": "" }), "message"),
        ("room-message", json!({ "room": ROOM, "message": long }), "message"),
        ("room-message", json!({ "room": ROOM }), "message"),
        ("message", json!({ "room": ROOM, "content": long }), "content"),
        ("message", json!({ "room": 5, "content": "x" }), "room"),
        ("typing", json!({}), "room"),
        ("typing", json!({ "room": ROOM, "isTyping": "yes" }), "isTyping"),
        ("typing", json!("text"), "room"),
        ("private-message", json!({ "to": "bob", "content": "" }), "content"),
        ("private-message", json!({ "to": "bob", "content": long }), "content"),
        ("private-message", json!({ "to": "", "content": "x" }), "to"),
        ("private-message", json!({ "to": "x".repeat(129), "content": "x" }), "to"),
        ("private-message", json!({ "content": "x" }), "to"),
        ("send-message", json!({ "room": ROOM, "content": "x", "clientId": 5 }), "clientId"),
        ("leave-room", json!({ "room": 5 }), "room"),
        ("join-room", json!(5), "room"),
        ("join-room", json!({}), "room"),
    ];
    let longest = "x".repeat(65);
    let names = ["", "user:1", "with space", "ñ", "a/b", "a#b", "{a}", "a\n", &longest];
    wrong.extend(names.map(|name| ("join-room", json!(name), "room")));
    for (event, data, field) in wrong {
        let message = sender.invalid(event, std::slice::from_ref(&data), None).await;
        assert!(message.contains(field), "{event} {data}: {message}");
    }
    for event in ["leave-room", "join-room"] {
        let message = sender.invalid(event, &[], None).await;
        assert!(message.contains("room"), "{event}: {message}");
    }
    let message = sender.invalid("private-message", &[json!({ "to": 5, "content": "x" })], None).await;
    assert!(message.starts_with("to"), "{message}");
    cluster.quiet().await;
    assert!(sender.is_open() && !sender.is_disconnected());
}

#[tokio::test(start_paused = true)]
async fn any_name_of_the_allowed_characters_is_a_room() {
    let cluster = TestCluster::nodes(2).await;
    let client = cluster.client("ana").await;
    let longest = "x".repeat(64);
    for name in ["x", "A-1_b.c:d", &longest, "users", "__proto__", "constructor"] {
        assert_eq!(client.enter(name, None).await.answer["room"], name);
        let stored = client.send_to(name, "here").await;
        cluster.quiet().await;
        assert_eq!(ids(&client.room_messages(name)), [stored]);
        client.done("leave-room", json!(name)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn only_members_may_send() {
    let cluster = TestCluster::nodes(3).await;
    let [member, ..] = members(&cluster, ROOM).await;
    let stranger = cluster.client_on(1, "stranger").await;
    let sends = [
        ("send-message", json!({ "room": ROOM, "content": "x" })),
        ("message", json!({ "room": ROOM, "content": "x" })),
        ("room-message", json!({ "room": ROOM, "message": "x" })),
        ("typing", json!({ "room": ROOM })),
        ("leave-room", json!({ "room": ROOM })),
    ];
    let refused = async || {
        for (event, data) in &sends {
            let answer = stranger.refused(event, data.clone(), "not_in_room").await;
            assert_eq!(answer.as_object().unwrap().len(), 3, "{answer}");
            assert!(answer["message"].as_str().unwrap().contains(ROOM), "{answer}");
        }
    };
    refused().await;
    stranger.enter(ROOM, None).await;
    let stored = send_many(&[&stranger], ROOM, 1).await;
    stranger.done("leave-room", json!(ROOM)).await;
    refused().await;
    cluster.quiet().await;
    assert_eq!(ids(&member.room_messages(ROOM)), stored);
    assert_eq!(member.all("user-left").len(), 1);
    for event in ["message", "room-message", "user-typing"] {
        assert!(member.all(event).is_empty(), "{event}");
    }
}
