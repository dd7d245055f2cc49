//! Costs of rooms: long catch-ups, quotas of stored data, and unwritten rooms.

use std::{collections::VecDeque, time::Duration};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::harness::{Client, TestCluster, User, ids, send_many};

const ROOM: &str = "room";

/// The longest content: JSON writes each character as six bytes.
fn long() -> String {
    "\u{1}".repeat(1_000)
}

/// A member of the room, its position before the first message, and this many messages of 6 KB that it has received.
async fn long_room(cluster: &TestCluster, count: usize) -> (Client, String, Vec<String>) {
    let member = cluster.client_on(0, "writer").await;
    let position = position(&member.enter(ROOM, None).await.answer);
    let mut started = VecDeque::new();
    for _ in 0..count {
        started.push_back(member.start("send-message", &[json!({ "room": ROOM, "content": long() })], None));
        if started.len() == 100 {
            stored(&member, started.pop_front().unwrap()).await;
        }
    }
    for id in started {
        stored(&member, id).await;
    }
    cluster.quiet().await;
    let log = ids(&member.room_messages(ROOM));
    assert_eq!(log.len(), count);
    (member, position, log)
}

async fn stored(client: &Client, id: i64) {
    let answer = client.answer(id, "send-message").await;
    assert_eq!(answer["status"], "ok", "{answer}");
}

fn position(answer: &Value) -> String {
    answer["position"].as_str().unwrap().to_owned()
}

/// The time to retry of a refusal, in milliseconds.
async fn limited(client: &Client, event: &str, data: Value) -> u64 {
    let answer = client.refused(event, data, "rate_limited").await;
    answer["retryAfterMs"].as_u64().unwrap()
}

#[tokio::test(start_paused = true)]
async fn megabytes_arrive_in_pages_complete_and_in_order_and_a_repeated_join_has_to_wait() {
    let cluster = TestCluster::nodes(2).await;
    let (member, position, mut log) = long_room(&cluster, 400).await;
    let late = cluster.client_on(1, "late").await;
    let since = json!({ "room": ROOM, "since": position });
    let senders = [&member];
    let (joined, live) = tokio::join!(late.enter(ROOM, Some(&position)), send_many(&senders, ROOM, 3));
    assert!(joined.pages.len() >= 8, "{:?}", joined.pages);
    assert_eq!(joined.answer["recovered"], true);
    log.extend(live);
    cluster.quiet().await;
    assert_eq!(ids(&late.room_messages(ROOM)), log);

    let wait = limited(&late, "join-room", since.clone()).await;
    assert!(wait > 1_000 && wait <= 10_000, "{wait} ms");
    // A join with less than a page to send is accepted at any time, and the socket is still in the room.
    let before = late.room_messages(ROOM).len();
    let short = late.enter(ROOM, Some(&log[log.len() - 2])).await;
    assert_eq!((short.recent.len(), &short.answer["recovered"]), (1, &json!(true)));
    let last = send_many(&[&member], ROOM, 1).await;
    cluster.quiet().await;
    assert_eq!(ids(&late.room_messages(ROOM)[before + 1..]), last);

    sleep(Duration::from_millis(wait)).await;
    let again = late.enter(ROOM, Some(&position)).await;
    log.extend(last);
    assert_eq!(ids(&again.recent), log, "after the wait");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_rejoins_with_many_missed_messages_gets_no_live_one_in_between_and_none_twice() {
    let cluster = TestCluster::nodes(2).await;
    let (member, position, mut log) = long_room(&cluster, 200).await;
    let other = cluster.client_on(1, "other").await;
    other.enter(ROOM, None).await;
    let from = other.room_messages(ROOM).len();
    let senders = [&member];
    let (joined, live) = tokio::join!(other.enter(ROOM, Some(&position)), send_many(&senders, ROOM, 20));
    assert_eq!(joined.answer["recovered"], true);
    log.extend(live);
    cluster.quiet().await;
    let received = ids(&other.room_messages(ROOM)[from..]);
    let begin = received.iter().position(|id| *id == log[0]).unwrap();
    assert_eq!(received[begin..], log);
}

#[tokio::test(start_paused = true)]
async fn pages_count_against_the_event_rate_of_the_user() {
    let cluster = TestCluster::with(1, &["limits.eventRate=10", "limits.eventBurst=100"]).await;
    let writers: [Client; 3] = cluster.clients().await;
    for writer in &writers {
        writer.enter(ROOM, None).await;
    }
    for writer in &writers {
        for _ in 0..80 {
            writer.done("send-message", json!({ "room": ROOM, "content": long() })).await;
        }
    }
    cluster.quiet().await;
    let reader = cluster.client("reader").await;
    assert_eq!(reader.enter(ROOM, None).await.recent.len(), 50);
    // 50 times 6 KB cost some 75 events of the 100.
    let started: Vec<i64> = (0..50).map(|number| reader.start("echo", &[json!(number)], None)).collect();
    let mut limited = 0;
    for id in started {
        limited += usize::from(reader.answer(id, "echo").await["code"] == "rate_limited");
    }
    assert!((15..=35).contains(&limited), "{limited} of 50");
    assert!(reader.is_open() && !reader.is_disconnected());
}

#[tokio::test(start_paused = true)]
async fn the_position_of_an_unwritten_room_is_valid_and_its_first_message_is_no_reset() {
    let cluster = TestCluster::nodes(2).await;
    let [first, away] = cluster.clients().await;
    let start = position(&first.enter("silent", None).await.answer);
    assert_eq!(position(&away.enter("silent", None).await.answer), start);
    away.done("leave-room", json!("silent")).await;
    let sent = send_many(&[&first], "silent", 5).await;
    cluster.quiet().await;
    assert_eq!(ids(&first.room_messages("silent")), sent);
    assert!(first.all("room-reset").is_empty());
    let back = away.enter("silent", Some(&start)).await;
    assert_eq!((ids(&back.recent), &back.answer["recovered"]), (sent, &json!(true)));
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_a_stored_message_is_acknowledged_before_the_room_is_joined_only_to_its_sender() {
    let cluster = TestCluster::with(2, &[r#"rooms.rules=["staff;join=ADMIN;send=ADMIN"]"#]).await;
    let client = cluster.client_on(0, "ana").await;
    client.enter(ROOM, None).await;
    let message = |room: &str, id: &str| json!({ "room": room, "content": "once", "clientId": id });
    let stored = client.done("send-message", message(ROOM, "c-1")).await;
    client.cut();
    let back = cluster.client_on(1, "ana").await;
    assert_eq!(back.done("send-message", message(ROOM, "c-1")).await, stored);
    let other = cluster.client_on(1, "other").await;
    let without = json!({ "room": ROOM, "content": "once" });
    for (client, data) in [
        (&back, message(ROOM, "c-2")),
        (&back, message("another", "c-1")),
        (&back, without),
        (&other, message(ROOM, "c-1")),
    ] {
        client.refused("send-message", data, "not_in_room").await;
    }

    // A user whom a rule refuses now does not learn of its own stored message, either.
    let user = User::new("once-admin");
    let admin = cluster.client(user.clone().with_roles(&["ADMIN"])).await;
    admin.enter("staff", None).await;
    admin.done("send-message", message("staff", "c-1")).await;
    let demoted = cluster.client(&user).await;
    demoted.refused("send-message", message("staff", "c-1"), "not_in_room").await;
}

#[tokio::test(start_paused = true)]
async fn a_user_id_of_an_issuer_cannot_impersonate_another_user_or_the_system() {
    let cluster = TestCluster::nodes(1).await;
    let (ann, ann_b) = (cluster.client("ann").await, cluster.client("ann b").await);
    for client in [&ann, &ann_b] {
        client.enter(ROOM, None).await;
    }
    let theirs = ann_b.done("send-message", json!({ "room": ROOM, "content": "theirs", "clientId": "c" })).await;
    let hers = ann.done("send-message", json!({ "room": ROOM, "content": "hers", "clientId": "b c" })).await;
    assert_ne!(hers["messageId"], theirs["messageId"]);
    cluster.quiet().await;
    assert_eq!(ann.room_messages(ROOM).len(), 2);
    let forger = cluster.stranger(0);
    forger.connect("/", &User::new("system").named("System").token());
    assert_eq!(forger.refusal().await, "invalid_token");
}

#[tokio::test(start_paused = true)]
async fn the_rooms_that_a_user_begins_are_limited_but_not_what_others_began() {
    let cluster = TestCluster::with(1, &["limits.userRooms=3", "limits.userBytes=20000"]).await;
    let [client, other] = cluster.clients().await;
    let rooms = ["a", "b", "c", "d", "e"];
    for room in rooms {
        client.enter(room, None).await;
    }
    for room in &rooms[..3] {
        client.send_to(room, "first").await;
    }
    let one_more = |room: &str| json!({ "room": room, "content": "x", "clientId": "same" });
    let wait = limited(&client, "send-message", one_more("d")).await;
    assert!(wait > 1_000, "{wait} ms");
    client.send_to("a", "second").await;
    other.enter("d", None).await;
    other.send_to("d", "first").await;
    cluster.quiet().await;
    assert_eq!(client.room_messages("d").len(), 1);
    client.send_to("d", "second").await;
    let wait = limited(&client, "send-message", one_more("e")).await;
    assert!(wait > 1_000, "{wait} ms");
    sleep(Duration::from_millis(wait)).await;
    client.done("send-message", one_more("e")).await;
}

#[tokio::test(start_paused = true)]
async fn the_stored_bytes_of_a_user_are_limited_and_retries_are_still_acknowledged() {
    let cluster = TestCluster::with(1, &["limits.userRooms=3", "limits.userBytes=20000"]).await;
    let [client, other] = cluster.clients().await;
    for one in [&client, &other] {
        one.enter(ROOM, None).await;
    }
    let first = json!({ "room": ROOM, "content": "x", "clientId": "first" });
    let stored = client.done("send-message", first.clone()).await;
    let mut count = 0;
    while client.ask("send-message", json!({ "room": ROOM, "content": long() })).await["status"] == "ok" {
        count += 1;
    }
    assert!((3..=5).contains(&count), "{count} stored");
    let wait = limited(&client, "send-message", json!({ "room": ROOM, "content": "x", "clientId": "same" })).await;
    assert!(wait > 1_000, "{wait} ms");
    assert_eq!(client.done("send-message", first).await, stored);
    other.send_to(ROOM, "undisturbed").await;
}
