//! Hooks that decide who joins a namespace.

use std::{sync::Arc, time::Duration};

use jackfield_engine::{CloseReason, Inbound};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::harness::{Backend, TestCluster, User, answer, hooks_setting, is_timestamp, text};

const WITHIN: Duration = Duration::from_secs(20);

/// A backend that lets in as the client's `auth.say` says: `{status, body}`.
async fn obedient() -> Backend {
    Backend::new(async |call| {
        let said = &call.body["auth"]["say"];
        if call.body["type"] == "event" {
            return answer(200, &json!({ "ack": [call.body["data"], call.body["rooms"]] }));
        }
        if let Some(length) = said["long"].as_u64() {
            // Two quotes are part of it.
            return answer(200, &json!({ "data": "x".repeat(usize::try_from(length).unwrap() - 2) }));
        }
        match (said["status"].as_u64(), said["body"].as_str()) {
            (None, _) => text(204, ""),
            (Some(status), Some(body)) => text(u16::try_from(status).unwrap(), body.to_owned()),
            (Some(status), None) => answer(u16::try_from(status).unwrap(), &said["body"]),
        }
    })
    .await
}

fn auth(user: &str, say: &Value) -> String {
    json!({ "token": User::new(user).token(), "pid": 7, "offset": "x", "say": say }).to_string()
}

#[tokio::test]
async fn the_backend_is_told_who_asks_but_not_the_token() {
    let backend = obedient().await;
    let cluster = TestCluster::with(1, &[&backend.hook("connect;events=order:*")]).await;
    let client = cluster.stranger(0);
    client.send(&Inbound::Connect { namespace: "/", auth: Some(&auth("ana", &json!({ "status": 204, "body": "" }))) });
    client.next("authenticated").await;
    let call = backend.calls().remove(0);
    let mut body = call.body.clone();
    let (id, session, timestamp) = (body["id"].take(), body["session"].take(), body["timestamp"].take());
    let user = json!({ "id": "ana", "email": "ana@example.com", "name": "Name of ana", "roles": ["USER"] });
    let expected = json!({
        "id": null, "type": "connect", "namespace": "/", "socketId": client.id(), "session": null,
        "auth": { "say": { "status": 204, "body": "" } }, "user": user, "timestamp": null,
    });
    assert_eq!(body, expected);
    assert!(is_timestamp(&timestamp) && id.as_str().unwrap().starts_with("con_"));
    assert_eq!(call.header("webhook-id"), id);
    client.ask("order:x", json!(1)).await;
    let event = backend.calls().remove(1).body;
    assert_eq!((&event["session"], event.get("data")), (&session, None));

    // Neither a wrong token nor another namespace asks anybody.
    for (namespace, token, code) in
        [("/", "wrong".to_owned(), "invalid_token"), ("/other", User::new("ana").token(), "invalid_namespace")]
    {
        let stranger = cluster.stranger(0);
        stranger.connect(namespace, &token);
        assert_eq!(stranger.at(namespace).refusal().await, code);
    }
    cluster.client_in("/chat", 0, "ben").await;
    assert_eq!(backend.calls().len(), 2);
}

#[tokio::test]
async fn who_is_let_in_is_in_the_rooms_and_keeps_the_data() {
    let backend = obedient().await;
    let cluster = TestCluster::with(1, &[&backend.hook("connect;events=order:*")]).await;
    let ben = cluster.client("ben").await;
    ben.join("lobby").await;
    let client = cluster.stranger(0);
    let data = json!({ "tier": "gold", "é": [1.0, null] });
    let say = json!({ "status": 200, "body": { "join": ["lobby", "vip"], "data": data } });
    client.send(&Inbound::Connect { namespace: "/", auth: Some(&auth("ana", &say)) });
    // Sent before the answer: it still finds the socket in its rooms.
    client.send(&Inbound::Event {
        namespace: "/",
        content: r#"["send-message",{"room":"vip","content":"hi"}]"#,
        ack: Some(1),
        parts: None,
    });
    assert_eq!(client.answer(1, "send-message").await["status"], "ok");
    client.next("joined").await;
    client.next("joined").await;
    assert_eq!(ben.next("user-joined").await["userId"], "ana");
    let id = client.start("order:x", &[json!(1)], None);
    assert_eq!(client.answers(id, "order:x").await, [data, json!(["lobby", "vip"])]);
    assert_eq!(client.packet_types()[0], "CONNECT");

    let other = cluster.stranger(0);
    other.send(&Inbound::Connect { namespace: "/", auth: Some(&auth("eve", &json!({ "status": 200, "body": "" }))) });
    other.next("authenticated").await;
    assert_eq!(other.ask("order:x", json!(1)).await, Value::Null);
}

#[tokio::test]
async fn a_refusal_is_permanent_and_evicts_nobody() {
    let backend = obedient().await;
    let cluster = TestCluster::with(1, &[&backend.hook("connect")]).await;
    let first = cluster.client("ana").await;
    for (body, code) in [
        (json!({ "code": "plan_expired" }), "plan_expired"),
        (json!({ "code": "Bad" }), "rejected"),
        (json!("Forbidden"), "rejected"),
    ] {
        let client = cluster.stranger(0);
        let say = json!({ "status": 403, "body": body });
        client.send(&Inbound::Connect { namespace: "/", auth: Some(&auth("ana", &say)) });
        assert_eq!(client.refusal().await, code);
        assert!(client.is_open(), "the client may try another token");
        assert_eq!(client.packet_types(), ["CONNECT_ERROR"]);
    }
    assert_eq!(first.ask("echo", json!(1)).await, 1);
    assert!(!first.is_disconnected());
}

#[tokio::test]
async fn any_other_answer_is_a_temporary_refusal() {
    let backend = obedient().await;
    let cluster = TestCluster::with(1, &["limits.rooms=3", &backend.hook("connect")]).await;
    for (status, body) in [
        (500, json!({})),
        (503, json!("")),
        (404, json!({ "code": "x" })),
        (401, json!({ "code": "x" })),
        (302, json!("")),
        (200, json!("OK")),
        (200, json!({ "rooms": [] })),
        (200, json!({ "join": ["a b"] })),
        (200, json!({ "join": ["a", "b", "c", "d"] })),
        (0, json!(null)),
    ] {
        let client = cluster.stranger(0);
        let say = if status == 0 { json!({ "long": 4_097 }) } else { json!({ "status": status, "body": body }) };
        client.send(&Inbound::Connect { namespace: "/", auth: Some(&auth("ana", &say)) });
        assert_eq!(client.closed().await, CloseReason::Unavailable, "{status} {body}");
        assert!(client.is_unanswered(), "{status} {body}");
    }
    let calls = cluster.get(0, "/v1/hooks").await["hooks"][0]["calls"].clone();
    assert_eq!((&calls["failed"], &calls["unavailable"], &calls["bad_answer"]), (&json!(1), &json!(1), &json!(8)));
    assert_eq!(cluster.get(0, "/v1/stats").await["sockets"], 0);
    let client = cluster.stranger(0);
    client.send(&Inbound::Connect { namespace: "/", auth: Some(&auth("ana", &json!({ "long": 4_096 }))) });
    client.next("authenticated").await;
}

#[tokio::test]
async fn a_long_auth_is_left_out() {
    let backend = obedient().await;
    let cluster = TestCluster::with(1, &[&backend.hook("connect")]).await;
    for (user, length) in [("ana", 4_000), ("ben", 4_200)] {
        let client = cluster.stranger(0);
        let auth = auth(user, &json!({ "x": "x".repeat(length) }));
        client.send(&Inbound::Connect { namespace: "/", auth: Some(&auth) });
        client.next("authenticated").await;
    }
    let told: Vec<bool> = backend.calls().iter().map(|call| call.body.get("auth").is_some()).collect();
    assert_eq!(told, [true, false]);
}

#[tokio::test]
async fn a_backend_that_hangs_keeps_others_out_of_its_namespace_only_while_they_wait() {
    let gate = Arc::new(Semaphore::new(0));
    let open = Arc::clone(&gate);
    let backend = Backend::new(move |call| {
        let open = Arc::clone(&open);
        async move {
            if call.body["user"]["id"].as_str().unwrap().starts_with("slow") {
                open.acquire().await.unwrap().forget();
            }
            text(204, "")
        }
    })
    .await;
    let settings = ["hook.concurrency=100", &backend.hook("connect;timeout=9s"), "limits.connectTimeout=30s"];
    let cluster = TestCluster::with(1, &settings).await;
    // More than may claim sessions at the same time.
    let slow: Vec<_> = (0..80)
        .map(|number| {
            let client = cluster.stranger(0);
            client.connect("/", &User::new(&format!("slow-{number}")).token());
            client
        })
        .collect();
    backend.called(80).await;
    let began = std::time::Instant::now();
    cluster.client("ben").await;
    cluster.client_in("/chat", 0, "eve").await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    gate.add_permits(80);
    for client in slow {
        client.next("authenticated").await;
    }
}

#[tokio::test]
async fn a_call_ends_with_its_connection_and_no_answer_in_time_is_temporary() {
    let backend = Backend::new(async |_| {
        std::future::pending::<()>().await;
        text(204, "")
    })
    .await;
    let rules =
        [backend.rule("h", "connect;timeout=9s"), backend.rule("chat", "connect;timeout=300ms;namespace=/chat")];
    let cluster = TestCluster::with(1, &[&hooks_setting(&rules)]).await;
    let client = cluster.stranger(0);
    client.connect("/", &User::new("ana").token());
    backend.called(1).await;
    let open = async || cluster.get(0, "/v1/hooks").await["hooks"][0]["open"].clone();
    assert_eq!(open().await, 1);
    client.cut();
    let ended = async {
        while open().await != 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), ended).await.expect("the call ends with its connection");
    assert_eq!(cluster.get(0, "/v1/hooks").await["hooks"][0]["calls"]["cancelled"], 1);

    let client = cluster.stranger(0);
    client.connect("/chat", &User::new("ana").token());
    assert_eq!(client.closed().await, CloseReason::Unavailable);
}

#[tokio::test]
async fn the_hook_of_another_namespace_delays_no_event_of_the_connection() {
    let gate = Arc::new(Semaphore::new(0));
    let open = Arc::clone(&gate);
    let backend = Backend::new(move |_| {
        let open = Arc::clone(&open);
        async move {
            open.acquire().await.unwrap().forget();
            answer(200, &json!({ "join": ["kitchen"] }))
        }
    })
    .await;
    let cluster = TestCluster::with(1, &[&backend.hook("connect;namespace=/chat;timeout=20s")]).await;
    let ana = cluster.client("ana").await;
    let (chat, token) = (ana.at("/chat"), ana.user.token());
    chat.connect("/chat", &token);
    chat.connect("/chat", &token);
    backend.called(1).await;
    assert_eq!(ana.ask("echo", json!(1)).await, 1);
    ana.join("lobby").await;
    assert!(chat.packet_types().is_empty());

    // Withdrawn: the answer has no effect.
    chat.leave_namespace();
    ana.ask("echo", json!(2)).await;
    gate.add_permits(1);
    let open = async || cluster.get(0, "/v1/hooks").await["hooks"][0]["open"].clone();
    let over = async {
        while open().await != 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(WITHIN, over).await.unwrap();
    ana.join("bar").await;
    assert!(chat.packet_types().is_empty());

    chat.connect("/chat", &token);
    backend.called(2).await;
    gate.add_permits(1);
    chat.next("joined").await;
    assert_eq!(chat.packet_types()[0], "CONNECT");
    assert_eq!(chat.ask("echo", json!(3)).await, 3);
    assert_eq!(backend.calls().len(), 2);
    assert_eq!(backend.calls()[1].body["socketId"], chat.id());
}

#[tokio::test]
async fn a_client_that_keeps_connecting_does_not_multiply_calls() {
    let backend = obedient().await;
    let rules = [backend.rule("h", "connect"), backend.rule("chat", "connect;namespace=/chat")];
    let settings =
        ["limits.userConnectRate=1", "limits.userConnectBurst=5", "session.policy=multi", &hooks_setting(&rules)];
    let cluster = TestCluster::with(1, &settings).await;
    let ana = cluster.client("ana").await;
    let chat = ana.at("/chat");
    // In and out of the second namespace, on one connection.
    let storm = async {
        while ana.is_open() {
            chat.connect("/chat", &ana.user.token());
            chat.leave_namespace();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(WITHIN, storm).await.expect("it is closed");
    assert_eq!(ana.closed().await, CloseReason::ConnectRate);
    let calls = backend.calls().len();
    assert!((2..=7).contains(&calls), "{calls} calls");
}

#[tokio::test]
async fn data_is_of_one_socket_and_ends_with_it() {
    let backend = obedient().await;
    let rules = [backend.rule("h", "connect;events=order:*"), backend.rule("chat", "events=order:*;namespace=/chat")];
    let cluster = TestCluster::with(1, &[&hooks_setting(&rules)]).await;
    let client = cluster.stranger(0);
    let with = |data: &str| auth("ana", &json!({ "status": 200, "body": { "data": data } }));
    client.send(&Inbound::Connect { namespace: "/", auth: Some(&with("one")) });
    client.next("authenticated").await;
    client.send(&Inbound::Connect { namespace: "/chat", auth: Some(&with("two")) });
    let chat = client.at("/chat");
    chat.next("authenticated").await;
    assert_eq!(client.ask("order:x", json!(1)).await, "one");
    assert_eq!(chat.ask("order:x", json!(1)).await, Value::Null, "no hook decides there");
    client.leave_namespace();
    client.send(&Inbound::Connect { namespace: "/", auth: Some(&auth("ana", &json!({}))) });
    client.next("authenticated").await;
    assert_eq!(client.ask("order:x", json!(1)).await, Value::Null);
}
