//! `message-client` and `message` to a whole namespace: delivery, order, refusals and limits.

use std::time::Duration;

use futures_util::future::join_all;
use jackfield_engine::{CloseReason, Excess, Inbound};
use serde_json::{Value, json};

use crate::harness::{Client, TestCluster, User, is_timestamp};

/// Longer than the roster, notices and releases are held back to be sent together.
const SETTLED: Duration = Duration::from_secs(2);

/// The first arguments of all events with these names, in the order of arrival.
fn received(client: &Client, names: &[&str]) -> Vec<Value> {
    let events = client.events().into_iter().filter(|(name, _)| names.contains(&&**name));
    events.map(|(_, mut data)| data.remove(0)).collect()
}

/// An error with exactly these fields, whose message contains one of `words`.
fn assert_error(error: &Value, mut expected: Value, words: &[&str]) {
    let message = error["message"].as_str().unwrap();
    assert!(words.iter().any(|word| message.contains(word)) && !message.is_empty(), "{message}");
    expected["message"] = json!(message);
    assert_eq!(*error, expected);
}

#[tokio::test(start_paused = true)]
async fn message_client_reaches_the_whole_namespace_and_the_sender_with_the_full_name_of_the_sender() {
    let cluster = TestCluster::nodes(3).await;
    let clients: [Client; 3] = cluster.clients().await;
    for sender in &clients {
        for (message, shown) in [("¿qué tal? 👋", "¿qué tal? 👋"), ("", "no-message!!!")] {
            let data = json!({ "id": sender.id(), "message": message });
            assert_eq!(sender.ask("message-client", data).await, json!({ "status": "ok" }));
            for client in &clients {
                let expected = json!({ "fullName": sender.user.name, "message": shown });
                assert_eq!(client.next("message-server").await, expected);
            }
        }
    }
    cluster.quiet().await;
    for client in &clients {
        assert_eq!(client.all("message-server").len(), 6, "each came once");
    }
}

#[tokio::test(start_paused = true)]
async fn message_as_text_and_as_an_object_has_sender_content_and_time() {
    let cluster = TestCluster::nodes(3).await;
    let clients: [Client; 3] = cluster.clients().await;
    for (data, text) in [(json!("plain text"), "plain text"), (json!({ "content": "in an object" }), "in an object")] {
        let answer = clients[1].ask("message", data).await;
        assert_eq!(answer, json!({ "status": "ok", "message": "Message sent successfully" }));
        for client in &clients {
            let message = client.next("message").await;
            let timestamp = &message["timestamp"];
            assert!(is_timestamp(timestamp), "{timestamp}");
            assert_eq!(message, json!({ "sender": clients[1].id(), "message": text, "timestamp": timestamp }));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn messages_and_the_roster_stay_in_their_namespace() {
    let cluster = TestCluster::nodes(3).await;
    let main: [Client; 3] = cluster.clients().await;
    let chat = join_all(main.iter().map(|client| client.also_in("/chat"))).await;
    main[0].emit("message", json!("in the main one"));
    chat[0].emit("message", json!("in chat"));
    chat[2].emit("message-client", json!({ "message": "chat again" }));
    main[2].emit("message-client", json!({ "message": "main again" }));
    tokio::time::sleep(SETTLED).await;
    let texts = |client: &Client, event| -> Vec<Value> {
        client.all(event).into_iter().map(|mut message| message["message"].take()).collect()
    };
    for client in &main {
        assert_eq!(texts(client, "message"), ["in the main one"]);
        assert_eq!(texts(client, "message-server"), ["main again"]);
        assert!(!client.all("clients-updated").is_empty());
    }
    for client in &chat {
        assert_eq!(texts(client, "message"), ["in chat"]);
        assert_eq!(texts(client, "message-server"), ["chat again"]);
        assert!(client.all("clients-updated").is_empty(), "the roster is sent only in /");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_is_not_delivered_and_its_error_names_the_reason() {
    let invalid = "validation_failed";
    let cases: [(&str, &[Value], &str, &[&str]); 11] = [
        ("message", &[], invalid, &["content", "message"]),
        ("message", &[json!("")], invalid, &["content"]),
        ("message", &[json!("x".repeat(1_001))], invalid, &["content"]),
        ("message", &[json!({ "content": "ñ".repeat(1_001) })], invalid, &["content"]),
        ("message", &[json!(5)], invalid, &["content", "message"]),
        ("message", &[json!({ "content": 5 })], invalid, &["content"]),
        ("message", &[json!(["a"])], invalid, &["content", "message"]),
        ("message", &[json!({ "content": "x", "room": "elsewhere" })], "not_in_room", &["elsewhere"]),
        ("message-client", &[json!({ "message": 5 })], invalid, &["message"]),
        ("no-such-event", &[json!({ "a": 1 })], "unknown_event", &[""]),
        ("constructor", &[json!({})], "unknown_event", &[""]),
    ];
    for (event, data, code, words) in cases {
        let cluster = TestCluster::nodes(2).await;
        let [sender, other] = cluster.clients().await;
        let answer = sender.ask_with(event, data, None).await;
        assert_error(&answer, json!({ "status": "error", "code": code }), words);

        sender.emit_with(event, data);
        let error = sender.next("error").await;
        assert_error(&error, json!({ "status": "error", "code": code, "event": event }), words);

        sender.done("message", json!("fine")).await;
        cluster.quiet().await;
        for client in [&sender, &other] {
            assert_eq!(received(client, &["message", "message-server"]).len(), 1, "{event} {data:?}");
        }
        assert_eq!((sender.all("error").len(), other.all("error").len()), (1, 0));
        assert!(!sender.is_disconnected() && sender.is_open());
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_above_the_limit_of_bytes_is_refused_by_its_name() {
    let cluster = TestCluster::nodes(1).await;
    let client = cluster.client("ana").await;
    let refused = |ack| Inbound::Refused { namespace: "/", event: "message".into(), ack, excess: Excess::Bytes };
    client.send(&refused(Some(7)));
    let answer = client.answer(7, "message").await;
    assert_error(&answer, json!({ "status": "error", "code": "payload_too_large" }), &["65536"]);
    client.send(&refused(None));
    let error = client.next("error").await;
    assert_error(&error, json!({ "status": "error", "code": "payload_too_large", "event": "message" }), &["65536"]);
    client.done("message", json!("fine")).await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_characters_are_counted_as_characters_and_not_as_bytes() {
    let cluster = TestCluster::nodes(2).await;
    let [sender, other] = cluster.clients().await;
    let text = "👋".repeat(1_000);
    sender.done("message", json!(text)).await;
    assert_eq!(other.next("message").await["message"], text);
}

#[tokio::test(start_paused = true)]
async fn events_sent_without_waiting_arrive_on_every_node_in_order_and_once() {
    let cluster = TestCluster::nodes(3).await;
    let clients: [Client; 3] = cluster.clients().await;
    let sent: Vec<String> = (0..500).map(|number| number.to_string()).collect();
    // Events of different kinds do not overtake each other.
    for (number, text) in sent.iter().enumerate() {
        match number % 2 {
            0 => clients[0].emit("message", json!(text)),
            _ => clients[0].emit("message-client", json!({ "message": text })),
        }
    }
    cluster.quiet().await;
    for client in &clients {
        let messages = received(client, &["message", "message-server"]);
        let texts: Vec<&str> = messages.iter().map(|message| message["message"].as_str().unwrap()).collect();
        assert_eq!(texts, sent);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_sent_before_the_answer_to_connect_is_handled_after_it() {
    let cluster = TestCluster::nodes(2).await;
    let witness = cluster.client_on(1, "bob").await;
    let client = cluster.stranger(0);
    client.connect("/", &User::new("ana").token());
    client.done("message", json!("early")).await;
    let types = client.packet_types();
    assert_eq!(types[..2], ["CONNECT", "EVENT"]);
    assert_eq!(client.events()[0].0, "authenticated");
    assert_eq!(witness.next("message").await["sender"], client.id());
}

#[tokio::test(start_paused = true)]
async fn too_many_events_are_refused_and_far_too_many_disconnect_the_client_without_harm_to_others() {
    let cluster = TestCluster::with(2, &["limits.eventRate=100", "limits.eventBurst=1000"]).await;
    let [flooder, other] = cluster.clients().await;
    let started: Vec<i64> =
        (0..1_200).map(|number| flooder.start("message", &[json!(format!("m{number}"))], None)).collect();
    let mut refused = Vec::new();
    for (number, id) in started.into_iter().enumerate() {
        let answer = flooder.answer(id, "message").await;
        assert_eq!(answer["status"] == "error", number >= 1_000, "1,000 pass at once: {number} {answer}");
        refused.extend((answer["status"] == "error").then_some(answer));
    }
    // 100 pass a second, so the n-th refused event may come 10 ms later than the one before.
    for (number, answer) in (1..).zip(&refused) {
        assert_eq!((&answer["code"], &answer["retryAfterMs"]), (&json!("rate_limited"), &json!(number * 10)));
    }
    assert!(!flooder.is_disconnected());
    cluster.quiet().await;
    assert_eq!(other.all("message").len(), 1_000, "refused events are not delivered");
    other.done("message", json!("undisturbed")).await;

    for number in 0..3_000 {
        flooder.emit("message", json!(format!("more {number}")));
    }
    flooder.disconnected().await;
    assert_eq!(flooder.events().last().unwrap().0, "error");
    assert_eq!(flooder.all("error").last().unwrap()["code"], "rate_limited");
    assert_eq!(flooder.packet_types().last(), Some(&"DISCONNECT"));
    other.done("message", json!("still undisturbed")).await;
    assert_eq!(flooder.closed().await, CloseReason::Flooding);
}
