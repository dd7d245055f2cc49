//! Sockets: a client that asked for recovery comes back, on any node, is in its rooms, and gets what it missed, once.

use std::{cell::RefCell, collections::BTreeMap};

use axum::http::Method;
use jackfield_engine::Inbound;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};

use crate::harness::{
    Client, TestCluster, User, send_many,
    stock::{Stock, connect, connect_also, live, missing_one, numbers, offset_of},
};

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_is_in_its_rooms_and_gets_what_it_missed() {
    let cluster = TestCluster::nodes(3).await;
    let sender = cluster.client_on(2, "bob").await;
    let (client, mut ana) = Stock::new(&cluster, 0, "ana").await;
    for room in ["one", "two"] {
        client.enter(room, None).await;
        sender.enter(room, None).await;
    }
    sender.send_to("one", "0").await;
    cluster.quiet().await;
    ana.handled(&client);
    client.cut();
    for number in 1..4 {
        sender.send_to("one", &number.to_string()).await;
        sender.send_to("two", &number.to_string()).await;
    }
    sender.done("private-message", json!({ "to": "ana", "content": "psst" })).await;
    let (client, is_recovered) = ana.back(&cluster, 1).await;
    assert!(is_recovered);
    assert_eq!((live(&client, "one"), live(&client, "two")), (numbers(1..4), numbers(1..4)));
    assert_eq!(client.all("private-message").len(), 1);
    assert!(client.all("joined").is_empty() && client.all("recent-messages").is_empty());
    // It is in the rooms for all purposes.
    sender.send_to("two", "4").await;
    client.send_to("one", "own").await;
    cluster.quiet().await;
    assert_eq!(live(&client, "two"), numbers(1..5));
    assert_eq!(live(&sender, "one").last().unwrap(), "own");
    assert!(sender.all("user-left").is_empty(), "within the grace nobody is announced");
    let members = client.done("room-members", json!({ "room": "one" })).await;
    assert_eq!(members["members"].as_array().unwrap().len(), 2, "{members}");
    // Again, although nobody noticed the end of the connection; and a room that it left stays left.
    client.done("leave-room", json!("one")).await;
    sender.send_to("one", "5").await;
    sender.send_to("two", "5").await;
    let (client, is_recovered) = ana.back(&cluster, 1).await;
    assert!(is_recovered);
    assert_eq!((live(&client, "one"), live(&client, "two")), (vec![], numbers(1..6)));
    client.refused("send-message", json!({ "room": "one", "content": "x" }), "not_in_room").await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_watches_the_same_users() {
    let cluster = TestCluster::with(2, &["roster.max=1"]).await;
    let (client, mut ana) = Stock::new(&cluster, 0, "ana").await;
    let _bob = cluster.client_on(0, "bob").await;
    client.done("presence:subscribe", json!({ "userIds": ["bob", "eve"] })).await;
    cluster.quiet().await;
    ana.handled(&client);
    let (client, is_recovered) = ana.back(&cluster, 1).await;
    assert!(is_recovered);
    let users = |event: &str| client.all(event).iter().map(|data| data["userId"].clone()).collect::<Vec<_>>();
    assert_eq!((users("user:online"), users("user:offline")), (vec![json!("bob")], vec![json!("eve")]), "said again");
    let _eve = cluster.client_on(0, "eve").await;
    cluster.quiet().await;
    assert_eq!(users("user:online"), ["bob", "eve"]);
}

#[tokio::test(start_paused = true)]
async fn two_connections_of_one_client_leave_one_that_is_in_its_rooms() {
    let cluster = TestCluster::nodes(1).await;
    let (sender, _before, ana) = missing_one(&cluster, "ana").await;
    // Both come back at the same moment: the client gave the first one up.
    let auth = json!({ "recover": true, "pid": ana.pid, "offset": ana.offset, "token": ana.user.token() }).to_string();
    let both = [0, 0].map(|node| Client::new(cluster.transport(node, None), ana.user.clone()));
    for one in &both {
        one.send(&Inbound::Connect { namespace: "/", auth: Some(&auth) });
    }
    cluster.quiet().await;
    sender.send_to("r", "1").await;
    cluster.quiet().await;
    let [first, last] = &both;
    assert_eq!(last.connected().await["pid"], ana.pid);
    assert!(first.is_disconnected() || !first.is_open());
    assert_eq!(live(last, "r"), ["1"]);
    last.send_to("r", "2").await;
    cluster.quiet().await;
    assert_eq!(live(last, "r"), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_room_that_was_entered_at_the_second_attempt_is_left_for_good() {
    let cluster = TestCluster::nodes(1).await;
    let sender = cluster.client_on(0, "sender").await;
    sender.enter("r", None).await;
    let sent = send_many(&[&sender], "r", 150).await;
    let (client, mut ana) = Stock::new(&cluster, 0, "ana").await;
    let since = json!({ "room": "r", "since": sent[0] });
    client.done("join-room", since.clone()).await;
    client.done("leave-room", json!("r")).await;
    client.refused("join-room", since, "rate_limited").await;
    client.join("r").await;
    cluster.quiet().await;
    ana.handled(&client);
    let (client, is_recovered) = ana.back(&cluster, 0).await;
    assert!(is_recovered);
    client.send_to("r", "x").await;
    client.done("leave-room", json!("r")).await;
    let (client, is_recovered) = ana.back(&cluster, 0).await;
    assert!(is_recovered);
    client.refused("send-message", json!({ "room": "r", "content": "x" }), "not_in_room").await;
}

#[tokio::test(start_paused = true)]
async fn a_second_connect_changes_nothing() {
    let cluster = TestCluster::nodes(1).await;
    let (sender, client, ana) = missing_one(&cluster, "ana").await;
    for auth in [
        json!({ "token": ana.user.token(), "recover": true }),
        json!({ "token": ana.user.token(), "recover": true, "pid": ana.pid, "offset": ana.offset }),
        json!({ "token": ana.user.token() }),
    ] {
        client.send(&Inbound::Connect { namespace: "/", auth: Some(&auth.to_string()) });
    }
    cluster.quiet().await;
    sender.send_to("r", "1").await;
    client.cut();
    let (client, is_recovered) = ana.back(&cluster, 0).await;
    assert!(is_recovered);
    assert_eq!(live(&client, "r"), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn each_namespace_of_a_connection_comes_back() {
    let cluster = TestCluster::nodes(2).await;
    let sender = cluster.client_in("/chat", 1, "bob").await;
    sender.enter("r", None).await;
    let (main, mut ana) = Stock::new(&cluster, 0, "ana").await;
    let (chat, connected) = connect_also(main.at("/chat"), "/chat", &json!({ "recover": true })).await;
    assert_ne!(connected["pid"], ana.pid);
    let chat_pid = connected["pid"].clone();
    chat.enter("r", None).await;
    cluster.quiet().await;
    ana.handled(&main);
    let (chat_id, chat_offset) = (chat.id(), offset_of(&chat.events()));
    main.cut();
    sender.send_to("r", "0").await;
    sender.done("private-message", json!({ "to": "ana", "content": "psst" })).await;
    let (main, is_recovered) = ana.back(&cluster, 1).await;
    assert!(is_recovered);
    let auth = json!({ "recover": true, "pid": chat_pid, "offset": chat_offset });
    let (chat, connected) = connect_also(main.at("/chat"), "/chat", &auth).await;
    assert_eq!((&connected["pid"], &connected["sid"]), (&chat_pid, &json!(chat_id)));
    cluster.quiet().await;
    assert_eq!(live(&chat, "r"), ["0"]);
    assert_eq!([&main, &chat].map(|socket| socket.all("private-message").len()), [1, 1]);
    // One that it leaves, on a connection that goes on, or that cannot be recovered, is a new one, and it can tell.
    chat.leave_namespace();
    cluster.quiet().await;
    let (chat, connected) = connect_also(main.at("/chat"), "/chat", &auth).await;
    assert!(connected["pid"] != chat_pid && connected["sid"] != *chat_id, "{connected}");
    chat.refused("send-message", json!({ "room": "r", "content": "x" }), "not_in_room").await;
    main.cut();
    let (main, is_recovered) = ana.back(&cluster, 0).await;
    assert!(is_recovered);
    let foreign = json!({ "recover": true, "pid": connected["pid"], "offset": "f1.x" });
    let (_, again) = connect_also(main.at("/chat"), "/chat", &foreign).await;
    assert!(again["pid"] != connected["pid"] && again["sid"] != connected["sid"], "{again}");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_ask_gets_no_offsets_and_who_asks_gets_no_other_texts() {
    let cluster = TestCluster::nodes(1).await;
    let (plain, connected) = connect(&cluster, 0, &User::new("bob"), "/", &json!({})).await;
    assert!(connected["pid"].is_null());
    let (client, _) = Stock::new(&cluster, 0, "ana").await;
    for client in [&plain, &client] {
        client.enter("r", None).await;
    }
    for users in ["ana", "bob"] {
        let emit = json!({ "event": "greeting", "data": {}, "to": { "users": [users] } });
        cluster.post(0, "/v1/emit", &emit).await;
    }
    cluster.post(0, "/v1/emit", &json!({ "event": "to all", "data": {}, "to": { "everyone": true } })).await;
    plain.send_to("r", "0").await;
    cluster.quiet().await;
    assert!(plain.events().iter().all(|(_, data)| !data.last().is_some_and(Value::is_string)));
    for (name, data) in client.events() {
        let offset = data.last().and_then(Value::as_str).filter(|text| text.starts_with("r1."));
        let advances = ["authenticated", "recent-messages", "new-message", "greeting"].contains(&&*name);
        assert_eq!(offset.is_some(), advances, "{name} {data:?}");
        assert!(offset.is_some() || !data.last().is_some_and(Value::is_string), "{name} {data:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_is_not_refused_because_of_its_former_session() {
    let cluster = TestCluster::with(2, &["session.onConflict=reject"]).await;
    let (_, _before, ana) = missing_one(&cluster, "ana").await;
    let other = Client::new(cluster.transport(1, None), ana.user.clone());
    other.connect("/", &ana.user.token());
    assert_eq!(other.refusal().await, "session_conflict");
    assert!(ana.back(&cluster, 1).await.1);
}

#[tokio::test(start_paused = true)]
async fn all_clients_can_be_recovered_if_that_is_the_default() {
    let cluster = TestCluster::with(1, &["recovery.default=true"]).await;
    let (_, connected) = connect(&cluster, 0, &User::new("ana"), "/", &json!({})).await;
    assert!(connected["pid"].is_string(), "{connected}");
}

/// Everything that was sent to each room, and to the user.
#[derive(Default)]
struct Sent {
    rooms: BTreeMap<&'static str, Vec<String>>,
    user: Vec<String>,
}

/// Adds the events that a client has handled now.
fn handle(events: &[(String, Vec<Value>)], into: &RefCell<Sent>) {
    let mut got = into.borrow_mut();
    for (name, data) in events {
        match &**name {
            "new-message" => {
                let room = ROOMS.iter().find(|room| data[0]["room"] == **room).unwrap();
                got.rooms.entry(room).or_default().push(data[0]["content"].as_str().unwrap().to_owned());
            }
            "private-message" => got.user.push(data[0]["content"].as_str().unwrap().to_owned()),
            "notification:new" => got.user.push(data[0]["notification"]["title"].as_str().unwrap().to_owned()),
            "job" => got.user.push(data[0]["n"].as_str().unwrap().to_owned()),
            _ => {}
        }
    }
}

const ROOMS: [&str; 3] = ["one", "two", "three"];

/// Model: the client handles any part of what it got before its connection ends, on any node, noticed or not, however
/// often. Each message is handled once and in order.
#[tokio::test(start_paused = true)]
async fn whatever_a_client_has_handled_it_gets_the_rest_once_and_in_order() {
    for seed in 0..48 {
        let mut random = StdRng::seed_from_u64(seed);
        let cluster = TestCluster::nodes(3).await;
        let sender = cluster.client_on(0, "bob").await;
        let (mut client, mut ana) = Stock::new(&cluster, 0, "ana").await;
        for room in ROOMS {
            client.enter(room, None).await;
            sender.enter(room, None).await;
        }
        cluster.quiet().await;
        let (mut sent, got) = (Sent::default(), RefCell::new(Sent::default()));
        let mut handled = client.events().len();
        ana.handled(&client);
        for number in 0..random.random_range(10..80) {
            let text = format!("n{number}");
            match random.random_range(0..10) {
                0..4 => {
                    let room = ROOMS.choose(&mut random).unwrap();
                    sender.send_to(room, &text).await;
                    sent.rooms.entry(room).or_default().push(text);
                }
                4 => {
                    sender.done("private-message", json!({ "to": "ana", "content": text })).await;
                    sent.user.push(text);
                }
                5 => {
                    let path = "/v1/users/ana/notifications";
                    cluster.call(1, Method::POST, path, &json!({ "type": "t", "title": text, "message": "m" })).await;
                    sent.user.push(text);
                }
                6 => {
                    let emit = json!({ "event": "job", "data": { "n": text }, "to": { "users": ["ana"] } });
                    cluster.post(2, "/v1/emit", &emit).await;
                    sent.user.push(text);
                }
                7 => {
                    // Handles some of what has arrived.
                    cluster.quiet().await;
                    let events = client.events();
                    let until = random.random_range(handled..=events.len());
                    handle(&events[handled..until], &got);
                    ana.offset = offset_of(&events[..until]).or(ana.offset);
                    handled = until;
                }
                _ => {
                    if random.random_bool(0.5) {
                        client.cut();
                    }
                    let (next, is_recovered) = ana.back(&cluster, random.random_range(0..3)).await;
                    assert!(is_recovered, "seed {seed}, after {number} steps");
                    (client, handled) = (next, 0);
                }
            }
        }
        cluster.quiet().await;
        handle(&client.events()[handled..], &got);
        let got = got.into_inner();
        assert_eq!((got.rooms, got.user), (sent.rooms, sent.user), "seed {seed}");
    }
}
