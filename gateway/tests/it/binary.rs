//! Binary parts: passed on as sent, refused in events that are stored and in fields that take none.

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use bytes::Bytes;
use jackfield_engine::{Inbound, Parts};
use serde_json::{Value, json};

use crate::harness::{API_KEY, Client, TestCluster, User, hex};

const ROOM: &str = "room";
/// Parts of one event by default.
const MOST_PARTS: usize = 10;
/// Bytes of a part in place of a text.
const MOST_BYTES: usize = 4_000;
/// The events with a part that a client received.
const PASSED: [&str; 3] = ["message", "room-message", "message-server"];

/// The first part, as a client writes it in the text.
fn part() -> Value {
    json!({ "_placeholder": true, "num": 0 })
}

fn parts(bytes: &[u8]) -> Option<Parts> {
    Some(Parts::one(Bytes::copy_from_slice(bytes)))
}

/// Sends an event with one part, and expects success.
async fn done(client: &Client, event: &str, data: Value, bytes: &[u8]) {
    let answer = client.ask_with(event, &[data], parts(bytes)).await;
    assert_eq!(answer["status"], "ok", "{event}: {answer}");
}

/// Sends an event with one part, without an acknowledgement.
fn emit(client: &Client, event: &str, data: &Value) {
    let content = json!([event, data]).to_string();
    client.send(&Inbound::Event { namespace: "/", content: &content, ack: None, parts: parts(b"binary") });
}

/// Members of the room on two nodes.
async fn members(cluster: &TestCluster) -> [Client; 2] {
    let members = cluster.clients().await;
    for member in &members {
        member.enter(ROOM, None).await;
    }
    members
}

#[tokio::test(start_paused = true)]
async fn every_event_that_takes_a_part_passes_it_on_unchanged() {
    let cluster = TestCluster::nodes(2).await;
    let [sender, other] = members(&cluster).await;
    let all_bytes: Vec<u8> = (0..=255).collect();
    let passed = async |event: &str, data: Value, as_event: &str, expected: Value, receivers: &[&Client]| {
        done(&sender, event, data, &all_bytes).await;
        cluster.quiet().await;
        for receiver in receivers {
            let mut received = receiver.next(as_event).await;
            received.as_object_mut().unwrap().remove("timestamp");
            assert_eq!(received, expected, "{event}");
        }
    };
    let (both, from, bytes) = ([&sender, &other], sender.id(), hex(&all_bytes));
    let message = json!({ "sender": from, "message": bytes });
    passed("message", part(), "message", message.clone(), &both).await;
    passed("message", json!({ "content": part() }), "message", message.clone(), &both).await;
    passed("message", json!({ "content": part(), "room": ROOM }), "message", message, &both).await;
    let in_room = json!({ "sender": from, "message": bytes, "room": ROOM });
    passed("room-message", json!({ "room": ROOM, "message": part() }), "room-message", in_room, &[&other]).await;
    let named = json!({ "fullName": sender.user.name, "message": bytes });
    passed("message-client", json!({ "id": from, "message": part() }), "message-server", named, &both).await;
    assert!(sender.all("room-message").is_empty());
    let echo = sender.ask_with("echo", &[json!({ "a": part() })], parts(b"x")).await;
    assert_eq!(echo, json!({ "a": "<78>" }));
}

#[tokio::test(start_paused = true)]
async fn parts_reach_both_namespaces_of_a_connection_and_each_gets_only_its_own() {
    let cluster = TestCluster::many_sessions().await;
    let main = cluster.client_on(0, "ana").await;
    let chat = main.also_in("/chat").await;
    let sender = cluster.client_in("/chat", 1, "bob").await;
    done(&sender, "message", part(), b"chat").await;
    done(&chat, "message", part(), b"more").await;
    cluster.quiet().await;
    for client in [&chat, &sender] {
        let messages: Vec<Value> = client.all("message").iter().map(|one| one["message"].clone()).collect();
        assert_eq!(messages, ["<63686174>", "<6d6f7265>"]);
    }
    assert_eq!(chat.ask_with("echo", &[json!({ "a": part() })], parts(b"x")).await, json!({ "a": "<78>" }));

    let emit = async |event: &str, to: Value| {
        let data = json!({ "a": { "$binary": "AA==" } });
        cluster.post(2, "/v1/emit", &json!({ "event": event, "data": data, "to": to })).await
    };
    emit("chat-only", json!({ "everyone": true, "namespace": "/chat" })).await;
    emit("both", json!({ "user": "ana" })).await;
    cluster.quiet().await;
    assert_eq!(chat.all("chat-only")[0]["a"], "<00>");
    for client in [&main, &chat] {
        assert_eq!(client.all("both")[0]["a"], "<00>");
    }
    assert!(main.all("message").is_empty() && main.all("chat-only").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_part_in_place_of_a_text_has_at_most_4000_bytes_and_stays_in_its_place() {
    let cluster = TestCluster::nodes(2).await;
    let [sender, other] = members(&cluster).await;
    let (most, more) = ([1; MOST_BYTES], [1; MOST_BYTES + 1]);
    let events = ["message", "message", "message", "room-message", "message-client"];
    for (kind, event) in events.into_iter().enumerate() {
        let data = |part: Value| match kind {
            0 => part,
            1 => json!({ "content": part }),
            2 => json!({ "content": part, "room": ROOM }),
            3 => json!({ "room": ROOM, "message": part }),
            _ => json!({ "message": part }),
        };
        let field = if kind < 3 { "content" } else { "message" };
        done(&sender, event, data(part()), &most).await;
        for (inside, bytes) in [(part(), &more[..]), (json!({ "a": part() }), &most), (json!([part()]), &most)] {
            let message = sender.invalid(event, &[data(inside)], parts(bytes)).await;
            assert!(message.contains(field), "{event}: {message}");
        }
    }
    cluster.quiet().await;
    let received: usize = PASSED.iter().map(|event| other.all(event).len()).sum();
    assert_eq!(received, events.len(), "no refused event");
    for event in PASSED {
        for received in other.all(event) {
            assert_eq!(received["message"], hex(&most));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn stored_events_and_fields_that_take_no_part_refuse_one_by_the_name_of_the_field() {
    let cluster = TestCluster::nodes(2).await;
    let [sender, other] = members(&cluster).await;
    let to = &*other.user.id;
    let wrong = [
        ("send-message", json!({ "room": ROOM, "content": part() }), "content"),
        ("send-message", json!({ "room": part(), "content": "x" }), "room"),
        ("send-message", json!({ "room": ROOM, "content": "x", "clientId": part() }), "clientId"),
        ("private-message", json!({ "to": to, "content": part() }), "content"),
        ("private-message", json!({ "to": part(), "content": "x" }), "to"),
        ("join-room", part(), "binary"),
        ("join-room", json!({ "room": part() }), "room"),
        ("join-room", json!({ "room": ROOM, "since": part() }), "since"),
        ("leave-room", json!({ "room": part() }), "room"),
        ("message", json!({ "content": "x", "room": part() }), "room"),
        ("room-message", json!({ "room": part(), "message": "x" }), "room"),
        ("typing", json!({ "room": ROOM, "isTyping": part() }), "isTyping"),
        ("room-members", json!({ "room": part() }), "room"),
        ("room-history", json!({ "room": ROOM, "before": part() }), "before"),
        ("presence:subscribe", json!({ "userIds": [part()] }), "userIds"),
        ("notification:mark_read", json!({ "notificationId": part() }), "notificationId"),
        ("notification:list", json!({ "before": part() }), "before"),
        ("token:refresh", json!({ "token": part() }), "token"),
    ];
    for (event, data, field) in wrong {
        let message = sender.invalid(event, std::slice::from_ref(&data), parts(b"binary")).await;
        assert!(message.contains(field), "{event} {data}: {message}");
        emit(&sender, event, &data);
        let error = sender.next("error").await;
        let expected = json!({ "status": "error", "code": "validation_failed", "message": message, "event": event });
        assert_eq!(error, expected);
    }
    let stored = sender.send_to(ROOM, "the last word").await;
    cluster.quiet().await;
    let received = other.room_messages(ROOM);
    assert_eq!((received.len(), &received[0]["id"]), (1, &json!(stored)));
    for event in ["private-message", "message", "room-message", "user-typing", "user-left"] {
        assert!(other.all(event).is_empty(), "{event}");
    }
    let log = sender.done("room-history", json!({ "room": ROOM })).await;
    assert_eq!(log["messages"], Value::from(received));
    assert!(sender.is_open() && !sender.is_disconnected());
}

#[tokio::test(start_paused = true)]
async fn a_placeholder_written_by_a_client_is_not_accepted_as_text() {
    let cluster = TestCluster::nodes(1).await;
    let sender = cluster.client("ana").await;
    sender.enter(ROOM, None).await;
    for (event, data) in [
        ("send-message", json!({ "room": ROOM, "content": part() })),
        ("message", part()),
        ("message-client", json!({ "message": part() })),
    ] {
        sender.invalid(event, &[data], None).await;
    }
    // Node's server, too, passes it on as plain JSON.
    assert_eq!(sender.ask("echo", part()).await, part());
}

#[tokio::test(start_paused = true)]
async fn an_emit_whose_parts_cannot_be_delivered_is_refused() {
    let cluster = TestCluster::nodes(2).await;
    let client = cluster.client_on(0, "ana").await;
    let many = |count: usize| json!({ "list": vec![json!({ "$binary": "AA==" }); count] });
    let emit = async |data: Value| {
        let request = json!({ "event": "file", "data": data, "to": { "user": "ana" } });
        cluster.call(1, Method::POST, "/v1/emit", &request).await
    };
    let wrong =
        [json!({ "file": { "$binary": "not base64!" } }), json!({ "file": { "$binary": 5 } }), many(MOST_PARTS + 1)];
    for data in wrong {
        let (status, body) = emit(data).await;
        assert_eq!((status, &body["code"]), (StatusCode::BAD_REQUEST, &json!("validation_failed")), "{body}");
    }
    let (status, body) = emit(many(MOST_PARTS)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    cluster.quiet().await;
    let received = client.all("file");
    assert_eq!((received.len(), &received[0]["list"]), (1, &json!(vec!["<00>"; MOST_PARTS])));
    assert!(client.is_open() && !client.is_disconnected());
}

#[tokio::test(start_paused = true)]
async fn a_repeated_emit_is_delivered_once_with_its_parts() {
    let cluster = TestCluster::nodes(3).await;
    let client = cluster.client_on(0, &User::new("ana")).await;
    let request = json!({ "event": "file", "data": { "a": { "$binary": "AQ==" } }, "to": { "user": "ana" } });
    for node in [1, 2] {
        let emit = Request::post("/v1/emit")
            .header("authorization", format!("Bearer {API_KEY}"))
            .header("content-type", "application/json")
            .header("idempotency-key", "key");
        let answer = cluster.request(node, emit.body(Body::from(request.to_string())).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED, "{answer:?}");
    }
    cluster.quiet().await;
    let received: Vec<Value> = client.all("file").iter().map(|data| data["a"].clone()).collect();
    assert_eq!(received, ["<01>"]);
}
