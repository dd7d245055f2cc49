//! Messages in rooms: stored, not stored, and refused.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Client, TestCluster, User, ids, send_many, timed};

const ROOM: &str = "room";

/// Members of the room on three nodes, each a user of its own.
async fn members(cluster: &TestCluster) -> [Client; 3] {
    let members = cluster.clients().await;
    for member in &members {
        member.enter(ROOM, None).await;
    }
    members
}

/// Three nodes on which a user may have any number of sessions.
async fn many_sessions() -> TestCluster {
    TestCluster::with(3, &["session.policy=multi"]).await
}

/// The log of the room, from a node.
async fn log(client: &Client, room: &str) -> Vec<Value> {
    let mut answer = client.done("room-history", json!({ "room": room, "limit": 100 })).await;
    let Value::Array(messages) = answer["messages"].take() else { panic!("{answer}") };
    messages
}

#[tokio::test(start_paused = true)]
async fn a_message_is_stored_and_reaches_all_members_including_the_sender() {
    let cluster = TestCluster::nodes(3).await;
    let [bob, eve, _] = members(&cluster).await;
    let ana = User::new("ana").named("Ana \"López\" \\ 👋");
    let sender = cluster.client_on(2, &ana).await;
    sender.enter(ROOM, None).await;
    let content = "¿qué \"tal\"?\n\u{0}\u{2028} 👋 </script>";
    let answer = sender.ask("send-message", json!({ "room": ROOM, "content": content })).await;
    let id = answer["messageId"].as_str().unwrap();
    assert_eq!(answer, json!({ "status": "ok", "messageId": id }));
    for member in [&sender, &bob, &eve] {
        let message = member.next("new-message").await;
        let from = json!({ "id": ana.id, "name": ana.name });
        let expected = json!({ "id": id, "room": ROOM, "content": content, "sender": from });
        assert_eq!(timed(message.clone()), expected);
        assert_eq!(log(member, ROOM).await, [message]);
    }

    sender.emit("send-message", json!({ "room": ROOM, "content": "x".repeat(1_000) }));
    assert_eq!(bob.next("new-message").await["content"], "x".repeat(1_000), "without an acknowledgement, too");
}

#[tokio::test(start_paused = true)]
async fn all_members_on_all_nodes_receive_one_order_that_of_the_ids() {
    let cluster = TestCluster::nodes(3).await;
    let members = members(&cluster).await;
    for member in &members {
        member.enter("elsewhere", None).await;
    }
    let mut started = Vec::new();
    for number in 0..60 {
        for member in &members {
            for room in [ROOM, "elsewhere"] {
                let data = json!({ "room": room, "content": number.to_string() });
                started.push((member, room, member.start("send-message", &[data], None)));
            }
        }
    }
    let (mut here, mut elsewhere) = (Vec::new(), Vec::new());
    for (member, room, id) in started {
        let answer = member.answer(id, "send-message").await;
        let acked = if room == ROOM { &mut here } else { &mut elsewhere };
        acked.push(answer["messageId"].as_str().unwrap().to_owned());
    }
    cluster.quiet().await;
    for (room, mut acked) in [(ROOM, here), ("elsewhere", elsewhere)] {
        acked.sort_unstable();
        assert_eq!(acked.len(), 180);
        for member in &members {
            assert_eq!(ids(&member.room_messages(room)), acked);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn messages_of_one_socket_are_stored_in_the_order_of_sending() {
    let cluster = TestCluster::nodes(3).await;
    let [sender, other, _] = members(&cluster).await;
    let contents: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let send = |content| sender.start("send-message", &[json!({ "room": ROOM, "content": content })], None);
    let started: Vec<i64> = contents.iter().map(send).collect();
    let mut acked = Vec::new();
    for id in started {
        acked.push(sender.answer(id, "send-message").await["messageId"].as_str().unwrap().to_owned());
    }
    cluster.quiet().await;
    let received = other.room_messages(ROOM);
    assert_eq!(ids(&received), acked);
    assert_eq!(received.iter().map(|message| message["content"].clone()).collect::<Vec<_>>(), contents);
}

#[tokio::test(start_paused = true)]
async fn one_client_id_is_one_message_from_any_socket_of_the_user_on_any_node() {
    let cluster = many_sessions().await;
    let [other, ..] = members(&cluster).await;
    let mut sockets = Vec::new();
    for node in 0..3 {
        let socket = cluster.client_on(node, "ana").await;
        socket.enter(ROOM, None).await;
        sockets.push(socket);
    }
    let longest = "x".repeat(64);
    for client_id in ["a", &longest, "with space, \"quotes\" and ñ 👋"] {
        let mut started = Vec::new();
        for (node, socket) in sockets.iter().enumerate().cycle().take(6) {
            let data = json!({ "room": ROOM, "content": format!("from {node}"), "clientId": client_id });
            started.push((socket, socket.start("send-message", &[data], None)));
        }
        let mut stored = Vec::new();
        for (socket, id) in started {
            let answer = socket.answer(id, "send-message").await;
            assert_eq!(answer["status"], "ok", "{answer}");
            stored.push(answer["messageId"].as_str().unwrap().to_owned());
        }
        stored.dedup();
        assert_eq!(stored.len(), 1, "{stored:?}");
    }

    // Another user, another room, or no clientId makes it another message.
    let [socket, ..] = &sockets[..] else { unreachable!() };
    socket.enter("elsewhere", None).await;
    other.done("send-message", json!({ "room": ROOM, "content": "another user's", "clientId": "a" })).await;
    socket.done("send-message", json!({ "room": "elsewhere", "content": "another room's", "clientId": "a" })).await;
    for _ in 0..2 {
        socket.send_to(ROOM, "same").await;
    }
    cluster.quiet().await;
    for (room, count) in [(ROOM, 6), ("elsewhere", 1)] {
        assert_eq!(socket.room_messages(room).len(), count);
        assert_eq!(socket.room_messages(room), log(socket, room).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_to_a_room_reaches_its_members_including_the_sender_and_no_others() {
    let cluster = TestCluster::nodes(3).await;
    let [ana, bob, eve] = members(&cluster).await;
    eve.done("leave-room", json!(ROOM)).await;
    bob.next("user-left").await;
    let answer = ana.ask("message", json!({ "content": "to the room", "room": ROOM })).await;
    assert_eq!(answer, json!({ "status": "ok", "message": "Message sent successfully" }));
    for member in [&ana, &bob] {
        let received = timed(member.next("message").await);
        assert_eq!(received, json!({ "sender": ana.id(), "message": "to the room" }));
    }
    ana.done("message", json!("to all")).await;
    cluster.quiet().await;
    let received = eve.all("message").into_iter().map(timed).collect::<Vec<_>>();
    assert_eq!(received, [json!({ "sender": ana.id(), "message": "to all" })]);
    assert_eq!(log(&bob, ROOM).await, [json!(null); 0], "it is not stored");
}

#[tokio::test(start_paused = true)]
async fn a_room_message_reaches_the_other_members_and_is_not_stored() {
    let cluster = many_sessions().await;
    let [bob, ..] = members(&cluster).await;
    let (ana, anas) = (cluster.client_on(0, "ana").await, cluster.client_on(1, "ana").await);
    for socket in [&ana, &anas] {
        socket.enter(ROOM, None).await;
    }
    let answer = ana.ask("room-message", json!({ "room": ROOM, "message": "hola" })).await;
    assert_eq!(answer, json!({ "status": "ok" }));
    for other in [&bob, &anas] {
        let received = timed(other.next("room-message").await);
        assert_eq!(received, json!({ "sender": ana.id(), "message": "hola", "room": ROOM }));
    }
    let stored = send_many(&[&bob], ROOM, 1).await;
    cluster.quiet().await;
    assert_eq!(ids(&ana.room_messages(ROOM)), stored);
    assert!(ana.all("room-message").is_empty());
    assert_eq!(ids(&log(&ana, ROOM).await), stored);
}

#[tokio::test(start_paused = true)]
async fn typing_passes_once_a_second_per_socket_and_room() {
    let cluster = many_sessions().await;
    let [bob, ..] = members(&cluster).await;
    let user = User::new("ana");
    let (ana, anas) = (cluster.client_on(0, &user).await, cluster.client_on(2, &user).await);
    for (socket, room) in [(&bob, "elsewhere"), (&ana, "elsewhere"), (&ana, ROOM), (&anas, ROOM)] {
        socket.enter(room, None).await;
    }
    let typing = |room: &str, is_typing: bool| {
        let mut data = user.profile();
        (data["room"], data["isTyping"]) = (json!(room), json!(is_typing));
        data
    };

    ana.emit("typing", json!({ "room": ROOM }));
    for _ in 0..5 {
        ana.emit("typing", json!({ "room": ROOM, "isTyping": false }));
    }
    ana.emit("typing", json!({ "room": "elsewhere", "isTyping": false }));
    cluster.quiet().await;
    assert_eq!(bob.all("user-typing"), [typing(ROOM, true), typing("elsewhere", false)]);
    anas.emit("typing", json!({ "room": ROOM, "isTyping": true }));
    cluster.quiet().await;
    assert_eq!(bob.all("user-typing")[2..], [typing(ROOM, true)], "another socket has a second of its own");

    tokio::time::sleep(Duration::from_millis(990)).await;
    ana.done("typing", json!({ "room": ROOM, "isTyping": false })).await;
    cluster.quiet().await;
    assert_eq!(bob.all("user-typing").len(), 3, "within the second");
    tokio::time::sleep(Duration::from_millis(10)).await;
    ana.done("typing", json!({ "room": ROOM, "isTyping": false })).await;
    cluster.quiet().await;
    assert_eq!(bob.all("user-typing")[3..], [typing(ROOM, false)]);
    assert_eq!(ana.all("user-typing"), [typing(ROOM, true)], "what the user's other socket sent");
    assert_eq!(anas.all("user-typing"), [typing(ROOM, true), typing(ROOM, false)]);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_message_is_refused_and_nothing_of_it_is_stored_or_sent() {
    let cluster = TestCluster::nodes(3).await;
    let [sender, other, _] = members(&cluster).await;
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
    assert_eq!(ids(&log(&sender, ROOM).await), stored);
    assert_eq!(sender.all("error").len(), wrong.len() - 1);
    assert!(other.all("error").is_empty());
}

#[tokio::test(start_paused = true)]
async fn lengths_are_counted_in_characters_not_in_bytes() {
    let cluster = TestCluster::nodes(2).await;
    let [sender, other, _] = members(&cluster).await;
    let content = "👋".repeat(1_000);
    let data = json!({ "room": ROOM, "content": content, "clientId": "👋".repeat(64) });
    sender.done("send-message", data).await;
    assert_eq!(other.next("new-message").await["content"], content);
}

#[tokio::test(start_paused = true)]
async fn errors_of_all_events_name_the_wrong_field() {
    let cluster = TestCluster::nodes(3).await;
    let [sender, ..] = members(&cluster).await;
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
    let [member, ..] = members(&cluster).await;
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
