//! Messages in rooms: stored and not stored.

use std::time::Duration;

use serde_json::json;

use crate::harness::{TestCluster, User, ids, members, room_log, send_many, timed};

const ROOM: &str = "room";

#[tokio::test(start_paused = true)]
async fn a_message_is_stored_and_reaches_all_members_including_the_sender() {
    let cluster = TestCluster::nodes(3).await;
    let [bob, eve, _] = members(&cluster, ROOM).await;
    let ana = User::new("ana").named("Ana \"López\" \\ 👋");
    let sender = cluster.client_on(2, &ana).await;
    sender.enter(ROOM, None).await;
    let content = "¿qué \"tal\"?\n\u{0}\u{2028} 👋 </script>";
    let answer = sender.ask("send-message", json!({ "room": ROOM, "content": content })).await;
    let id = answer["messageId"].as_str().unwrap();
    assert_eq!(answer, json!({ "status": "ok", "messageId": id, "durable": "memory" }));
    for member in [&sender, &bob, &eve] {
        let message = member.next("new-message").await;
        let from = json!({ "id": ana.id, "name": ana.name });
        let expected = json!({ "id": id, "room": ROOM, "content": content, "sender": from });
        assert_eq!(timed(message.clone()), expected);
        assert_eq!(room_log(member, ROOM).await, [message]);
    }

    sender.emit("send-message", json!({ "room": ROOM, "content": "x".repeat(1_000) }));
    assert_eq!(bob.next("new-message").await["content"], "x".repeat(1_000), "without an acknowledgement, too");
}

#[tokio::test(start_paused = true)]
async fn all_members_on_all_nodes_receive_one_order_that_of_the_ids() {
    let cluster = TestCluster::nodes(3).await;
    let members = members(&cluster, ROOM).await;
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
    let [sender, other, _] = members(&cluster, ROOM).await;
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
    let cluster = TestCluster::many_sessions().await;
    let [other, ..] = members(&cluster, ROOM).await;
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
        assert_eq!(socket.room_messages(room), room_log(socket, room).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_to_a_room_reaches_its_members_including_the_sender_and_no_others() {
    let cluster = TestCluster::nodes(3).await;
    let [ana, bob, eve] = members(&cluster, ROOM).await;
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
    assert_eq!(room_log(&bob, ROOM).await, [json!(null); 0], "it is not stored");
}

#[tokio::test(start_paused = true)]
async fn a_room_message_reaches_the_other_members_and_is_not_stored() {
    let cluster = TestCluster::many_sessions().await;
    let [bob, ..] = members(&cluster, ROOM).await;
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
    assert_eq!(ids(&room_log(&ana, ROOM).await), stored);
}

#[tokio::test(start_paused = true)]
async fn typing_passes_once_a_second_per_socket_and_room() {
    let cluster = TestCluster::many_sessions().await;
    let [bob, ..] = members(&cluster, ROOM).await;
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
