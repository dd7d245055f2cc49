//! Limits of one user: each holds exactly, and a client that waits as answered loses nothing.

use std::{cell::Cell, time::Duration};

use futures_util::future::join_all;
use jackfield_engine::CloseReason;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::harness::{Client, TestCluster, User};

/// Events a second, and at once.
const EVENTS: (usize, usize) = (100, 20);

async fn few_events() -> TestCluster {
    TestCluster::with(
        1,
        &["limits.eventRate=100", "limits.eventBurst=20", "limits.floodStrikes=100", "session.policy=multi"],
    )
    .await
}

async fn few_broadcasts() -> TestCluster {
    TestCluster::with(
        1,
        &[
            "limits.broadcastRate=5",
            "limits.broadcastBurst=20",
            "limits.privateRate=1",
            "limits.privateBurst=5",
            "limits.userConnectRate=1",
            "limits.userConnectBurst=5",
        ],
    )
    .await
}

/// Sends until it is accepted, waiting for `retryAfterMs` after each refusal. Returns the number of refusals.
async fn insist(client: &Client, event: &str, data: Value) -> usize {
    for refused in 0.. {
        let answer = client.ask(event, data.clone()).await;
        if answer["status"] == "ok" {
            return refused;
        }
        sleep(Duration::from_millis(retry_after(&answer))).await;
    }
    unreachable!()
}

/// Sends so many events at once. Returns the times to retry, in milliseconds, of those that were refused.
async fn refused_of(client: &Client, count: usize, event: &str, data: impl Fn(usize) -> Value) -> Vec<u64> {
    let started: Vec<i64> = (0..count).map(|number| client.start(event, &[data(number)], None)).collect();
    let mut refused = Vec::new();
    for id in started {
        let answer = client.answer(id, event).await;
        if answer["status"] == "error" {
            refused.push(retry_after(&answer));
        }
    }
    refused
}

/// The time to retry of a refusal, in milliseconds.
fn retry_after(answer: &Value) -> u64 {
    let (message, wait) = (&answer["message"], answer["retryAfterMs"].as_u64().unwrap_or_default());
    let expected = json!({ "status": "error", "code": "rate_limited", "message": message, "retryAfterMs": wait });
    assert_eq!(*answer, expected);
    assert!(message.is_string() && wait > 0, "{answer}");
    wait
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_as_answered_gets_all_events_through_and_is_never_disconnected() {
    let cluster = few_events().await;
    let client = cluster.client("ana").await;
    client.join("room").await;
    let (next, refused, count) = (Cell::new(0), Cell::new(0), 400);
    let began = Instant::now();
    join_all((0..20).map(async |_| {
        while next.get() < count {
            let content = format!("number {}", next.replace(next.get() + 1));
            let data = json!({ "room": "room", "content": content });
            refused.set(refused.get() + insist(&client, "send-message", data).await);
        }
    }))
    .await;
    cluster.quiet().await;
    assert!(refused.get() > 0, "the limit was never reached");
    assert_eq!(client.room_messages("room").len(), count);
    assert!(client.is_open() && !client.is_disconnected());
    let (rate, burst) = EVENTS;
    let least = Duration::from_millis(((count - burst) * 1_000 / rate) as u64);
    let took = began.elapsed();
    assert!(took >= least - Duration::from_millis(20) && took < least * 2, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn of_events_refused_together_the_nth_has_to_wait_n_times_as_long_as_the_first() {
    let cluster = few_events().await;
    let client = cluster.client("ana").await;
    let waits = refused_of(&client, EVENTS.1 + 30, "echo", |number| json!(number)).await;
    let expected: Vec<u64> = (1..=30).map(|number| number * 1_000 / EVENTS.0 as u64).collect();
    assert_eq!(waits, expected);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_wait_is_disconnected_for_good() {
    let cluster = few_events().await;
    let client = cluster.client("ana").await;
    for number in 0..1_000 {
        client.emit("echo", json!(number));
    }
    client.disconnected().await;
    assert_eq!(client.all("error").last().unwrap()["code"], "rate_limited");
    assert_eq!(client.closed().await, CloseReason::Flooding);
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_has_no_new_burst_and_another_user_has_one() {
    let cluster = few_events().await;
    let mut accepted = 0;
    let began = Instant::now();
    for _ in 0..5 {
        let client = cluster.client("ana").await;
        accepted += EVENTS.1 - refused_of(&client, EVENTS.1, "echo", |number| json!(number)).await.len();
    }
    let earned = began.elapsed().as_millis() as usize * EVENTS.0 / 1_000;
    assert!(accepted <= EVENTS.1 + earned + 1, "{accepted} accepted in {:?}", began.elapsed());
    let other = cluster.client("bob").await;
    assert_eq!(refused_of(&other, EVENTS.1 - 2, "echo", |number| json!(number)).await, [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn broadcasts_of_all_kinds_share_a_burst_and_rooms_and_other_users_are_not_limited() {
    let cluster = few_broadcasts().await;
    let (client, other) = (cluster.client("ana").await, cluster.client("bob").await);
    let chat = client.also_in("/chat").await;
    let refused = refused_of(&client, 50, "message-client", |number| json!({ "message": number.to_string() })).await;
    assert_eq!(refused.len(), 30);
    let refused = refused_of(&chat, 20, "message", |number| json!(number.to_string())).await;
    assert_eq!(refused.len(), 20, "another namespace has no budget of its own");
    insist(&client, "message", json!("after the wait")).await;
    client.join("room").await;
    let in_room = |number: usize| json!({ "room": "room", "content": number.to_string() });
    assert_eq!(refused_of(&client, 100, "message", in_room).await, [0; 0]);
    other.done("message-client", json!({ "message": "undisturbed" })).await;
    cluster.quiet().await;
    assert_eq!(other.all("message-server").len(), 21);
    assert_eq!(other.all("message").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_client_has_at_most_1000_characters() {
    let cluster = few_broadcasts().await;
    let client = cluster.client("ana").await;
    client.done("message-client", json!({ "message": "👋".repeat(1_000) })).await;
    let message = client.invalid("message-client", &[json!({ "message": "x".repeat(1_001) })], None).await;
    assert!(message.starts_with("message"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn private_messages_have_a_small_burst_to_one_user_and_a_larger_one_to_all_together() {
    let cluster = few_broadcasts().await;
    let client = cluster.client("ana").await;
    let to = |user: &str| json!({ "to": user, "content": "psst" });
    assert_eq!(refused_of(&client, 10, "private-message", |_| to("one")).await.len(), 5);
    assert_eq!(refused_of(&client, 5, "private-message", |_| to("another")).await.len(), 0);
    // Four times as many to all: 10 of the 20 are spent.
    let refused = refused_of(&client, 30, "private-message", |number| to(&format!("user {number}"))).await;
    assert_eq!(refused.len(), 20);
    insist(&client, "private-message", to("one")).await;
}

#[tokio::test(start_paused = true)]
async fn updates_of_a_feed_count_as_broadcasts() {
    let cluster = few_broadcasts().await;
    let admin = User::new("ana").with_roles(&["ADMIN"]);
    let client = cluster.stranger(0);
    client.connect("/ws/v1/productos", &admin.token());
    let writer = client.at("/ws/v1/productos");
    writer.next("connection").await;
    assert_eq!(refused_of(&writer, 50, "updateProduct", |id| json!({ "id": id })).await.len(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_user_that_connects_too_fast_is_closed_without_a_refusal_and_loses_no_session() {
    let cluster = few_broadcasts().await;
    let user = User::new("ana");
    let mut sessions = Vec::new();
    for _ in 0..5 {
        sessions.push(cluster.client(&user).await);
    }
    let session = sessions.pop().unwrap();
    let hasty = cluster.stranger(0);
    hasty.connect("/", &user.token());
    assert_eq!(hasty.closed().await, CloseReason::ConnectRate);
    assert!(hasty.is_unanswered(), "a stock client reconnects by itself");
    cluster.quiet().await;
    assert!(session.is_open() && !session.is_disconnected());

    sleep(Duration::from_secs(1)).await;
    let patient = cluster.client(&user).await;
    session.disconnected().await;
    cluster.quiet().await;
    assert!(patient.is_open() && !patient.is_disconnected());
}
