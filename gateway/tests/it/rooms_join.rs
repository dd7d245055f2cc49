//! Joining rooms: the first events, missed messages in pages, and the history.

use std::cell::RefCell;

use serde_json::{Value, json};

use crate::harness::{Client, TestCluster, history, ids, is_timestamp, send_many};

const KEPT: usize = 1_000;

#[tokio::test(start_paused = true)]
async fn an_empty_room_gives_joined_and_one_empty_recent_messages_and_the_acknowledgement() {
    let cluster = TestCluster::nodes(2).await;
    let [first, second] = cluster.clients().await;
    let joined = first.enter("r", None).await;
    let position = &joined.answer["position"];
    assert!(position.is_string());
    assert_eq!(joined.answer, json!({ "status": "ok", "room": "r", "position": position, "members": 1 }));
    assert_eq!((joined.recent, joined.pages), (vec![], vec![0]));
    let events = first.events().into_iter().filter(|(name, _)| ["joined", "recent-messages"].contains(&&**name));
    let expected = [
        ("joined".to_owned(), vec![json!({ "room": "r" })]),
        ("recent-messages".to_owned(), vec![json!([]), json!({ "room": "r", "more": false })]),
    ];
    assert_eq!(events.collect::<Vec<_>>(), expected);

    let answer = second.ask("join-room", json!({ "room": "r" })).await;
    assert_eq!(answer, json!({ "status": "ok", "room": "r", "position": position, "members": 2 }));
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_gets_the_newest_50_messages_and_then_live_ones_in_any_namespace() {
    for namespace in ["/", "/chat"] {
        let cluster = TestCluster::nodes(3).await;
        let [sender, others @ ..]: [Client; 3] = cluster.clients_in(namespace).await;
        sender.join("r").await;
        let mut sent = send_many(&[&sender], "r", 60).await;
        for (index, other) in others.iter().enumerate() {
            let joined = other.enter("r", None).await;
            assert_eq!(ids(&joined.recent), sent[10..]);
            assert_eq!(joined.answer["position"], json!(sent.last()));
            assert_eq!(joined.answer["members"], index + 2);
            assert!(joined.answer.get("recovered").is_none(), "only if there was something to recover");
        }
        sent.extend(send_many(&[&sender], "r", 5).await);
        cluster.quiet().await;
        let all = sender.room_messages("r");
        assert_eq!(ids(&all), sent);
        for other in &others {
            assert_eq!(other.room_messages("r"), all[10..]);
        }
        for message in &all {
            let mut keys: Vec<_> = message.as_object().unwrap().keys().collect();
            keys.sort_unstable();
            assert_eq!(keys, ["content", "id", "room", "sender", "timestamp"]);
            assert!(is_timestamp(&message["timestamp"]), "{message}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_namespace_has_rooms_of_its_own() {
    let cluster = TestCluster::nodes(2).await;
    let main = cluster.client("ana").await;
    let chat = main.also_in("/chat").await;
    let other = cluster.client_in("/chat", 1, "bob").await;
    main.join("r").await;
    chat.refused("send-message", json!({ "room": "r", "content": "x" }), "not_in_room").await;
    assert_eq!(other.join("r").await["members"], 1, "members of the other namespace are not counted");
    assert_eq!(chat.join("r").await["members"], 2);
    main.send_to("r", "in the main one").await;
    chat.send_to("r", "in chat").await;
    cluster.quiet().await;
    let contents = |client: &Client| -> Vec<Value> {
        client.room_messages("r").into_iter().map(|mut message| message["content"].take()).collect()
    };
    assert_eq!(contents(&main), ["in the main one"]);
    assert_eq!(contents(&chat), ["in chat"]);
    assert_eq!(contents(&other), ["in chat"]);
    main.done("leave-room", json!("r")).await;
    chat.send_to("r", "still in this one").await;
}

#[tokio::test(start_paused = true)]
async fn a_join_since_a_known_position_recovers_and_one_since_an_unknown_position_does_not() {
    let cluster = TestCluster::nodes(2).await;
    let [sender, other] = cluster.clients().await;
    let start = sender.join("r").await["position"].as_str().unwrap().to_owned();
    sender.join("elsewhere").await;
    let sent = send_many(&[&sender], "r", 60).await;
    let foreign = send_many(&[&sender], "elsewhere", 3).await;
    let last = sent.last().unwrap().as_str();

    for (since, missed) in [(&*sent[9], &sent[10..]), (&start, &sent), (last, &[])] {
        let joined = other.enter("r", Some(since)).await;
        assert_eq!(ids(&joined.recent), missed);
        assert_eq!((&joined.answer["recovered"], &joined.answer["position"]), (&json!(true), &json!(last)));
    }

    let ahead = format!("{}9999", &last[..last.len() - 4]);
    let later_epoch = format!("{}{}", "f".repeat(14), &sent[0][14..]);
    let long = "x".repeat(5_000);
    let spaced = format!("{} ", sent[0]);
    for since in ["garbage", "", "0-0", "💥", &long, &spaced, &foreign[1], &ahead, &later_epoch] {
        let joined = other.enter("r", Some(since)).await;
        assert_eq!((&joined.answer["recovered"], &joined.answer["position"]), (&json!(false), &json!(last)), "{since}");
        assert_eq!(ids(&joined.recent), sent[10..], "{since}");
    }
    let answer = other.refused("join-room", json!({ "room": "r", "since": 5 }), "validation_failed").await;
    assert!(answer["message"].as_str().unwrap().contains("since"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn joining_again_changes_nothing() {
    let cluster = TestCluster::nodes(2).await;
    let [sender, other] = cluster.clients().await;
    sender.join("r").await;
    for _ in 0..3 {
        assert_eq!(other.enter("r", None).await.answer["members"], 2);
    }
    let id = sender.send_to("r", "once").await;
    cluster.quiet().await;
    assert_eq!(ids(&other.all("new-message")), [id]);
    assert_eq!(sender.all("user-joined").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn missed_messages_arrive_in_pages_as_far_as_they_are_kept_and_else_the_newest_50() {
    let cluster = TestCluster::nodes(3).await;
    let clients: [Client; 3] = cluster.clients().await;
    let [reader, senders @ ..] = clients.each_ref();
    let start = reader.join("r").await["position"].as_str().unwrap().to_owned();
    for sender in senders {
        sender.join("r").await;
    }
    let log = RefCell::new(Vec::new());
    let more = async |count| {
        let expected = log.borrow().len() + count;
        send_many(&senders, "r", count).await;
        cluster.quiet().await;
        log.replace(ids(&reader.room_messages("r")));
        assert_eq!(log.borrow().len(), expected);
    };
    let newcomers = std::cell::Cell::new(0);
    // A new socket each time: one may get so much only once in a while.
    let newcomer = async || {
        newcomers.set(newcomers.get() + 1);
        cluster.client_on(2, &*format!("late-{}", newcomers.get())).await
    };
    let since = async |id: &str, pages: &[usize]| {
        let joined = newcomer().await.enter("r", Some(id)).await;
        assert_eq!((&*joined.pages, &joined.answer["recovered"]), (pages, &json!(true)));
        let from = log.borrow().iter().position(|other| other == id).map_or(0, |place| place + 1);
        assert_eq!(ids(&joined.recent), log.borrow()[from..]);
    };
    let nth = |place: usize| log.borrow()[place].clone();

    more(250).await;
    since(&start, &[100, 100, 50]).await;
    since(&nth(49), &[100, 100]).await;
    since(&nth(149), &[100]).await;
    since(&nth(148), &[100, 1]).await;
    more(KEPT - 250).await;
    since(&start, &[100; 10]).await;
    more(1).await;
    since(&nth(0), &[100; 10]).await;

    let late = newcomer().await;
    let joined = late.enter("r", Some(&start)).await;
    assert_eq!((joined.pages, &joined.answer["recovered"]), (vec![50], &json!(false)));
    assert_eq!(joined.answer["position"], json!(nth(KEPT)));
    assert_eq!(ids(&joined.recent), log.borrow()[KEPT - 49..]);
    // All that is kept can be read, in pages.
    for limit in [100, 50] {
        assert_eq!(ids(&history(&late, "r", limit, async || {}).await), log.borrow()[1..]);
    }
}

#[tokio::test(start_paused = true)]
async fn room_history_pages_back_without_gap_or_repeat_while_new_messages_arrive() {
    let cluster = TestCluster::nodes(3).await;
    let clients: [Client; 3] = cluster.clients().await;
    let [reader, senders @ ..] = clients.each_ref();
    for client in &clients {
        client.join("r").await;
    }
    let sent = RefCell::new(send_many(&senders, "r", KEPT - 100).await);
    for limit in [100, 37] {
        let before = sent.borrow().len();
        let between = async || {
            let id = send_many(&senders, "r", 1).await;
            sent.borrow_mut().extend(id);
        };
        let read = history(reader, "r", limit, between).await;
        sent.borrow_mut().sort_unstable();
        assert_eq!(ids(&read), sent.borrow()[..before], "from the newest at that time to the first");
        assert!(sent.borrow().len() > before + 5);
    }
    let mut sent = sent.into_inner();
    sent.extend(send_many(&senders, "r", KEPT - sent.len()).await);
    sent.sort_unstable();
    cluster.quiet().await;
    let all = reader.room_messages("r");
    assert_eq!(ids(&all), sent);
    assert_eq!(history(reader, "r", 100, async || {}).await, all);
    let page = async |data| reader.done("room-history", data).await;
    assert_eq!(page(json!({ "room": "r" })).await, json!({ "status": "ok", "messages": all[KEPT - 50..] }));
    let some = page(json!({ "room": "r", "limit": 3, "before": all[10]["id"] })).await;
    assert_eq!(some, json!({ "status": "ok", "messages": all[7..10] }));
    let none = page(json!({ "room": "r", "before": all[0]["id"] })).await;
    assert_eq!(none, json!({ "status": "ok", "messages": [] }));
}

#[tokio::test(start_paused = true)]
async fn room_history_is_for_members_and_its_errors_name_the_reason() {
    let cluster = TestCluster::nodes(2).await;
    let [member, stranger] = cluster.clients().await;
    member.join("r").await;
    stranger.refused("room-history", json!({ "room": "r" }), "not_in_room").await;
    let invalid = [
        (json!({ "room": "r", "limit": 0 }), "limit"),
        (json!({ "room": "r", "limit": 101 }), "limit"),
        (json!({ "room": "r", "limit": -1 }), "limit"),
        (json!({ "room": "r", "limit": 1.5 }), "limit"),
        (json!({ "room": "r", "limit": "10" }), "limit"),
        (json!({ "room": "r", "before": "garbage" }), "before"),
        (json!({}), "room"),
    ];
    for (data, field) in invalid {
        let answer = member.refused("room-history", data, "validation_failed").await;
        assert!(answer["message"].as_str().unwrap().contains(field), "{answer}");
    }
    let answer = member.done("room-history", json!({ "room": "r" })).await;
    assert_eq!(answer, json!({ "status": "ok", "messages": [] }));
}
