//! Events that a hook handles: what the backend is told, and what becomes of its answer.

use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use jackfield_engine::Parts;
use serde_json::{Value, json};

use crate::harness::{Backend, SECRETS, TestCluster, User, answer, hex, hooks_setting, is_timestamp, text};

const EVENTS: &str = "events=order:*+cart:add";
const OK: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_backend_is_told_the_event_and_its_sender() {
    let backend = Backend::echoing().await;
    let cluster = TestCluster::with(1, &[&backend.hook(EVENTS)]).await;
    let ana = cluster.client(User::new("ana").with_roles(&["USER", "ADMIN"])).await;
    ana.join("kitchen").await;
    let data = json!({ "clientId": "c1", "n": 1.5, "deep": [{ "é": "👋" }] });
    let id = ana.start("order:create", &[data.clone(), json!(2)], None);
    assert_eq!(ana.answers(id, "order:create").await, [data.clone(), json!(2)]);

    let call = backend.calls().remove(0);
    let mut body = call.body.clone();
    let (timestamp, session, id) = (body["timestamp"].take(), body["session"].take(), body["id"].take());
    let user = json!({ "id": "ana", "email": "ana@example.com", "name": "Name of ana", "roles": ["USER", "ADMIN"] });
    let expected = json!({
        "id": null, "type": "event", "namespace": "/", "event": "order:create", "args": [data, 2], "ack": true,
        "socketId": ana.id(), "session": null, "rooms": ["kitchen"], "user": user, "timestamp": null,
    });
    assert_eq!(body, expected);
    assert!(is_timestamp(&timestamp) && session.as_str().unwrap().len() == 20 && id != json!(ana.id()));
    assert!(id.as_str().unwrap().starts_with("evt_"), "{id}");
    assert_eq!(call.header("webhook-id"), id);
    assert_eq!(call.header("content-type"), "application/json");
    assert!(call.header("user-agent").starts_with("jackfield/"));
    let age = jackfield_shared::time::unix_now() - call.header("webhook-timestamp").parse::<u64>().unwrap();
    assert!(age < 20, "{age} s");
    assert!(call.is_signed_with(SECRETS[0]) && !call.is_signed_with(SECRETS[1]));

    ana.emit_with("cart:add", &[]);
    let call = backend.called(2).await.remove(1);
    assert_eq!((&call.body["args"], &call.body["ack"]), (&json!([]), &json!(false)));
    assert!(call.body.get("data").is_none());
}

#[tokio::test]
async fn each_answer_becomes_what_the_protocol_says() {
    let backend = Backend::new(async |call| {
        let said = &call.body["args"][0];
        let status = u16::try_from(said["status"].as_u64().unwrap()).unwrap();
        match said["body"].as_str() {
            Some(body) => text(status, body.to_owned()),
            None => answer(status, &said["body"]),
        }
    })
    .await;
    let cluster = TestCluster::with(1, &[&backend.hook(EVENTS)]).await;
    let ana = cluster.client("ana").await;
    let error = |code: &str, message: &str| json!({ "status": "error", "code": code, "message": message });
    let rejected = error("rejected", "The request was rejected");
    let unavailable = error("unavailable", "Temporarily unavailable, try again");
    let ok = json!({ "status": "ok" });
    for (status, body, expected) in [
        (200, json!({}), ok.clone()),
        (200, json!(""), ok.clone()),
        (204, json!(""), ok.clone()),
        (201, json!({ "ack": [{ "orderId": 7 }] }), json!({ "orderId": 7 })),
        (200, json!({ "ack": [null] }), Value::Null),
        (422, json!({ "code": "out_of_stock", "message": "None left" }), error("out_of_stock", "None left")),
        (400, json!({ "code": "a:b.c-d_9" }), error("a:b.c-d_9", "The request was rejected")),
        (404, json!("Not Found"), rejected.clone()),
        (400, json!({ "code": "Bad Code", "message": "x" }), rejected.clone()),
        (500, json!({ "code": "x", "message": "y" }), unavailable.clone()),
        (503, json!(""), unavailable.clone()),
        (302, json!(""), unavailable.clone()),
        (200, json!("OK"), unavailable.clone()),
        (200, json!({ "acks": [] }), unavailable.clone()),
    ] {
        let said = json!({ "status": status, "body": body });
        assert_eq!(ana.ask("order:x", said.clone()).await, expected, "{said}");
        // Without an acknowledgement, an error is an event, and success is nothing.
        ana.emit("order:x", said.clone());
        if expected["status"] == "error" {
            let mut expected = expected;
            expected["event"] = json!("order:x");
            assert_eq!(ana.next("error").await, expected, "{said}");
        }
    }
    ana.done("order:x", json!({ "status": 204, "body": "" })).await;
    assert_eq!(ana.all("error").len(), 9);
}

#[tokio::test]
async fn actions_are_done_in_order_before_the_acknowledgement() {
    let backend = Backend::new(async |call| answer(200, &call.body["args"][0])).await;
    let cluster = TestCluster::with(2, &[&backend.hook(EVENTS)]).await;
    let (ana, ben) = (cluster.client_on(0, "ana").await, cluster.client_on(1, "ben").await);
    ben.join("kitchen").await;
    ana.join("old").await;
    let said = json!({
        "ack": ["done", 2],
        "join": ["kitchen", "bar"],
        "leave": ["old"],
        "emit": [
            { "event": "to:room", "data": { "n": 1 }, "to": { "room": "kitchen", "except": [ana.id()] } },
            { "event": "to:user", "args": [1, { "b": [2] }], "to": { "user": "ben" } },
            { "event": "to:socket", "data": "text", "to": { "socket": ana.id() } },
            { "event": "to:all", "to": { "everyone": true } },
        ],
    });
    let id = ana.start("order:x", &[said], None);
    assert_eq!(ana.answers(id, "order:x").await, [json!("done"), json!(2)]);
    let names: Vec<String> = ana.events().into_iter().map(|(name, _)| name).collect();
    let at = |name: &str| names.iter().rposition(|other| other == name);
    assert!(at("joined") < at("left"), "{names:?}");
    ana.next("to:socket").await;
    ana.next("to:all").await;
    assert!(ana.all("to:room").is_empty());
    let mut joined = ana.all("joined");
    assert_eq!(joined.split_off(1), [json!({ "room": "kitchen" }), json!({ "room": "bar" })]);
    assert_eq!(ben.next("to:room").await, json!({ "n": 1 }));
    ben.next("to:user").await;
    assert!(ben.events().contains(&("to:user".into(), vec![json!(1), json!({ "b": [2] })])));
    ben.next("to:all").await;
    // The next event is told the new rooms.
    ana.ask("order:x", json!({})).await;
    let mut rooms: Vec<Value> = backend.calls().remove(1).body["rooms"].as_array().unwrap().clone();
    rooms.sort_by_key(ToString::to_string);
    assert_eq!(rooms, ["bar", "kitchen"]);

    let id = ana.start("order:x", &[json!({ "disconnect": { "reason": "enough" }, "ack": ["bye"] })], None);
    assert_eq!(ana.answer(id, "order:x").await, "bye", "before the end");
    assert_eq!(ana.next("session:ended").await["reason"], "enough");
    ana.disconnected().await;
}

#[tokio::test]
async fn binary_parts_go_both_ways() {
    let backend = Backend::new(async |call| {
        let args = call.body["args"].clone();
        let to = json!({ "user": call.body["user"]["id"] });
        answer(200, &json!({ "ack": args, "emit": [{ "event": "back", "args": args, "to": to }] }))
    })
    .await;
    let cluster = TestCluster::with(1, &[&backend.hook(EVENTS)]).await;
    let ana = cluster.client("ana").await;
    let all: Vec<u8> = (0..=255).collect();
    let parts = Parts::new(vec![Bytes::from(all.clone()), Bytes::new()]);
    let place = |number: usize| json!({ "_placeholder": true, "num": number });
    let data = [json!({ "file": place(0), "n": 1 }), place(1)];
    let id = ana.start("order:x", &data, parts.clone());
    let expected = [json!({ "file": hex(&all), "n": 1 }), json!(hex(&[]))];
    assert_eq!(ana.answers(id, "order:x").await, expected);
    ana.next("back").await;
    assert!(ana.events().contains(&("back".into(), expected.to_vec())));
    let told = &backend.calls().remove(0).body["args"];
    assert!(told[0]["file"]["$binary"].as_str().unwrap().starts_with("AAECAwQF") && told[1]["$binary"] == "");
    // A part with two places could make a long text of a short one.
    assert!(ana.invalid("order:x", &[place(0), place(0), place(1)], parts).await.contains("once"));
    assert_eq!(backend.calls().len(), 1);
}

#[tokio::test]
async fn a_repeated_event_has_the_same_id_and_its_emits_are_sent_once() {
    let backend = Backend::new(async |call| {
        let emit = |n: u32| json!({ "event": "made", "data": [n, call.body["args"][0]], "to": { "everyone": true } });
        answer(200, &json!({ "emit": [emit(1), emit(2)] }))
    })
    .await;
    let cluster = TestCluster::with(2, &["session.policy=multi", &backend.hook(EVENTS)]).await;
    let (ana, again, ben) =
        (cluster.client_on(0, "ana").await, cluster.client_on(1, "ana").await, cluster.client_on(1, "ben").await);
    let with_id = json!({ "clientId": "c1" });
    for client in [&ana, &again, &ana] {
        client.done("order:x", with_id.clone()).await;
    }
    for client in [&ana, &ana] {
        client.done("order:x", json!({})).await;
    }
    ben.done("order:x", with_id.clone()).await;
    let ids: Vec<Value> = backend.calls().into_iter().map(|call| call.body["id"].clone()).collect();
    assert!(ids[0] == ids[1] && ids[1] == ids[2], "{ids:?}");
    assert!(ids[2] != ids[3] && ids[3] != ids[4] && ids[5] != ids[0], "{ids:?}");
    let made = |data: &Value, times| {
        let all = ben.all("made");
        (1..=2).all(|n| all.iter().filter(|other| **other == json!([n, data])).count() == times)
    };
    let arrived = async {
        while !(made(&json!({}), 2) && made(&with_id, 2)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(OK, arrived).await.unwrap_or_else(|_| panic!("{:?}", ben.all("made")));
    // Behind them in the same channel.
    ana.done("message", json!("last")).await;
    ben.next("message").await;
    assert_eq!(ben.all("made").len(), 8, "once for ana's and once for ben's clientId, and each time without one");
}

#[tokio::test]
async fn events_of_the_gateway_go_to_a_hook_only_if_they_are_off() {
    let backend = Backend::echoing().await;
    let rules = [backend.rule("typing", "events=typing+echo"), backend.rule("rest", "events=*")];
    let setting = hooks_setting(&rules);
    let cluster = TestCluster::with(1, &[&setting, "events.off=typing,echo,room-history"]).await;
    let ana = cluster.client("ana").await;
    ana.join("kitchen").await;
    for (event, hook) in [("typing", "typing"), ("echo", "typing"), ("room-history", "rest"), ("other", "rest")] {
        assert_eq!(ana.ask(event, json!([event])).await, json!([event]));
        let calls = cluster.get(0, "/v1/hooks").await["hooks"].as_array().unwrap().clone();
        let of = calls.iter().find(|other| other["name"] == hook).unwrap();
        assert!(of["calls"]["ok"].as_u64().unwrap() > 0, "{event}: {of}");
    }
    assert_eq!(ana.ask("message", json!("text")).await["status"], "ok");
    ana.refused("disconnect", json!(1), "unknown_event").await;
    ana.refused(&"x".repeat(129), json!(1), "unknown_event").await;
    assert_eq!(backend.calls().len(), 4);

    let without = TestCluster::with(1, &["events.off=typing,echo,message"]).await;
    let ben = without.client("ben").await;
    for event in ["typing", "echo", "message", "other"] {
        ben.refused(event, json!("text"), "unknown_event").await;
    }
}

#[tokio::test]
async fn a_hook_has_one_namespace() {
    let backend = Backend::echoing().await;
    let cluster = TestCluster::with(1, &[&backend.hook("events=order:*;namespace=/chat")]).await;
    let ana = cluster.client("ana").await;
    let chat = ana.also_in("/chat").await;
    ana.refused("order:x", json!(1), "unknown_event").await;
    assert_eq!(chat.ask("order:x", json!(1)).await, json!(1));
    assert_eq!(backend.calls()[0].body["namespace"], "/chat");
    assert_eq!(backend.calls()[0].body["socketId"], chat.id());
}

#[tokio::test]
async fn secrets_are_replaced_without_a_restart() {
    let backend = Backend::echoing().await;
    let both = format!("h;url={};{EVENTS};secretFile={}+{}", backend.url, backend.secret(0), backend.secret(1));
    let cluster = TestCluster::with(1, &[&hooks_setting(&[both])]).await;
    let ana = cluster.client("ana").await;
    ana.ask("order:x", json!(1)).await;
    let call = backend.calls().remove(0);
    assert!(call.is_signed_with(SECRETS[0]) && call.is_signed_with(SECRETS[1]));
    assert_eq!(call.header("webhook-signature").split(' ').count(), 2);

    let new = "whsec_bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3";
    std::fs::write(backend.secret(0), format!("{new}\n")).unwrap();
    std::fs::remove_file(backend.secret(1)).unwrap();
    let changed = async {
        loop {
            ana.ask("order:x", json!(1)).await;
            let call = backend.calls().pop().unwrap();
            assert!(call.is_signed_with(SECRETS[1]), "the last good secret stays");
            if call.is_signed_with(new) {
                assert!(!call.is_signed_with(SECRETS[0]));
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(OK, changed).await.unwrap();
}

#[tokio::test]
async fn an_operator_sees_the_hooks_and_their_calls() {
    let backend = Backend::new(async |call| match call.body["args"][0].as_u64() {
        Some(status) => text(u16::try_from(status).unwrap(), ""),
        None => text(200, "not JSON"),
    })
    .await;
    let rule = backend.rule("orders", "events=order:*;timeout=1500ms;facts=room.v*").replace("/hook;", "/hook?key=k;");
    let cluster = TestCluster::with(1, &["facts=room.vacated", &hooks_setting(&[rule])]).await;
    let ana = cluster.client("ana").await;
    for said in [json!(204), json!(204), json!(404), json!(500), json!("bad")] {
        ana.ask("order:x", said).await;
    }
    let mut list = cluster.get(0, "/v1/hooks").await;
    assert!(list["node"].as_str().unwrap().starts_with("gateway-"), "{list}");
    let mut error = list["hooks"][0]["lastError"].take();
    let calls = json!({
        "ok": 2, "rejected": 1, "failed": 1, "unavailable": 0, "bad_answer": 1, "timeout": 0, "unreachable": 0,
        "too_many": 0, "breaker_open": 0, "cancelled": 0,
    });
    let expected = json!({
        "name": "orders", "url": backend.url, "namespace": "/", "events": ["order:*"], "connect": false,
        "facts": ["room.v*"], "timeoutMs": 1500, "open": 0, "breaker": "closed", "calls": calls, "lastError": null,
        "delivery": { "waiting": 0, "parked": 0, "dead": 0, "dropped": 0 },
    });
    assert_eq!(list["hooks"], json!([expected]));
    assert!(is_timestamp(&error["at"].take()), "{error}");
    assert!(error["reason"].as_str().unwrap().contains("not as expected"), "{error}");
    assert_eq!(error["outcome"], "bad_answer");

    let none = TestCluster::nodes(1).await;
    assert_eq!(none.get(0, "/v1/hooks").await["hooks"], json!([]));
    let request = axum::http::Request::get("/v1/hooks").body(axum::body::Body::empty()).unwrap();
    assert_eq!(none.request(0, request).await.status(), StatusCode::UNAUTHORIZED);
}
