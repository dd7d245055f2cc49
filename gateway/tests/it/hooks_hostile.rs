//! Backends that answer with too much, with nonsense, or never end: the event is `unavailable`, the reason has a name,
//! and nobody else notices.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::harness::{Backend, RawBackend, TestCluster, text};

const PARTS: &str = "events=order:*;timeout=2s";
/// Far more than any answer that is read.
const MUCH: usize = 100 * 1024 * 1024;

/// The event fails with this outcome, for a reason with this word, and the node goes on.
async fn fails(setting: &str, outcome: &str, word: &str) {
    let cluster = TestCluster::with(1, &[setting]).await;
    let [ana, ben] = cluster.clients().await;
    let began = Instant::now();
    let id = ana.start("order:x", &[json!(1)], None);
    assert_eq!(ben.ask("echo", json!("now")).await, "now");
    assert_eq!(ana.ask("echo", json!("now")).await, "now");
    assert_eq!(ana.answer(id, "order:x").await["code"], "unavailable");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let hook = cluster.get(0, "/v1/hooks").await["hooks"][0].clone();
    assert_eq!((&hook["calls"][outcome], &hook["open"]), (&json!(1), &json!(0)), "{hook}");
    let reason = hook["lastError"]["reason"].as_str().unwrap();
    assert!(reason.contains(word) && reason.chars().count() <= 256, "{reason}");
    assert_eq!(ana.ask("echo", json!("later")).await, "later");
}

/// A head without a length: the body ends with the connection.
fn endless_head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_vec()
}

#[tokio::test]
async fn an_answer_of_100_megabytes_is_not_read() {
    for declares in [true, false] {
        let backend = RawBackend::new(move |mut stream| async move {
            let length = if declares { format!("content-length: {MUCH}\r\n") } else { String::new() };
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{length}\r\n").as_bytes()).await;
            let part = vec![b' '; 64 * 1024];
            let mut sent = 0;
            while sent < MUCH && stream.write_all(&part).await.is_ok() {
                sent += part.len();
            }
            assert!(sent < MUCH / 2, "{sent} bytes were taken");
        })
        .await;
        fails(&backend.hook(PARTS), "bad_answer", "longer than").await;
    }
}

#[tokio::test]
async fn an_answer_that_never_ends_costs_no_more_than_the_timeout() {
    let backend = RawBackend::new(|mut stream| async move {
        let _ = stream.write_all(&endless_head()).await;
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    fails(&backend.hook("events=order:*;timeout=500ms"), "timeout", "timeout").await;
    // A head that never ends.
    let backend = RawBackend::new(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream.write_all(b"x: y\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    fails(&backend.hook("events=order:*;timeout=500ms"), "timeout", "timeout").await;
    // Answers that only announce others.
    let backend = RawBackend::new(|mut stream| async move {
        while stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    fails(&backend.hook("events=order:*;timeout=500ms"), "timeout", "timeout").await;
    let silent = RawBackend::sending(Vec::new()).await;
    fails(&silent.hook("events=order:*;timeout=500ms"), "timeout", "timeout").await;
}

#[tokio::test]
async fn headers_of_a_megabyte_are_refused() {
    let one = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n{{}}", "y".repeat(1_000_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n{{}}", "x: y\r\n".repeat(150_000));
    for head in [one, many] {
        let backend = RawBackend::sending(head.into_bytes()).await;
        fails(&backend.hook(PARTS), "bad_answer", "").await;
    }
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    for (bytes, outcome) in [
        (&b"SSH-2.0-OpenSSH_9.6\r\n\r\n"[..], "bad_answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}", "bad_answer"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "unreachable"),
    ] {
        let backend = RawBackend::sending(bytes.to_vec()).await;
        fails(&backend.hook(PARTS), outcome, "").await;
    }
    // Less than was announced.
    let backend = RawBackend::new(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}").await;
    })
    .await;
    fails(&backend.hook(PARTS), "unreachable", "").await;
}

#[tokio::test]
async fn answers_with_nonsense_do_nothing() {
    let emit = json!({ "event": "made", "to": { "everyone": true } });
    let many = json!({ "emit": vec![emit.clone(); 1_000], "join": ["kitchen"] });
    let deep = format!("{{\"ack\":[{}1{}]}}", "[".repeat(100_000), "]".repeat(100_000));
    let late = json!({ "join": ["kitchen"], "emit": [emit, { "event": "bad", "to": { "room": "not a room" } }] });
    let long = json!({ "ack": ["x".repeat(900_000)], "emit": [{ "event": "x", "to": {} }] });
    for (body, word) in [
        (many.to_string(), "at most 100 entries in emit"),
        (deep, "nested"),
        (late.to_string(), "emit[1]"),
        (long.to_string(), "to must be"),
        ("{\"ack\":[1]".to_owned(), "EOF"),
        ("<html>".to_owned(), "not as expected"),
        ("[".repeat(1_000_000), "nested"),
    ] {
        let backend = Backend::new(move |_| {
            let body = body.clone();
            async move { text(200, body) }
        })
        .await;
        let cluster = TestCluster::with(1, &[&backend.hook(PARTS)]).await;
        let ana = cluster.client("ana").await;
        ana.refused("order:x", json!(1), "unavailable").await;
        let hook = cluster.get(0, "/v1/hooks").await["hooks"][0].clone();
        assert_eq!(hook["calls"]["bad_answer"], 1, "{hook}");
        assert!(hook["lastError"]["reason"].as_str().unwrap().contains(word), "{hook}");
        assert_eq!(hook["breaker"], "closed", "a backend that answers is there");
        ana.done("message", json!("barrier")).await;
        ana.next("message").await;
        assert!(ana.all("made").is_empty() && ana.all("joined").is_empty());
    }
}

#[tokio::test]
async fn the_longest_answer_is_read_and_a_longer_one_is_not() {
    const MAX: usize = 1_000_000;
    for (length, good) in [(MAX, true), (MAX + 1, false)] {
        let backend = Backend::new(move |_| async move {
            let overhead = r#"{"ack":[""]}"#.len();
            text(200, json!({ "ack": ["x".repeat(length - overhead)] }).to_string())
        })
        .await;
        let cluster = TestCluster::with(1, &[&backend.hook(PARTS)]).await;
        let ana = cluster.client("ana").await;
        let answer = ana.ask("order:x", json!(1)).await;
        assert_eq!(answer.is_string(), good, "{length}");
    }
}

#[tokio::test]
async fn emits_of_hooks_call_no_hooks() {
    let backend = Backend::new(async |_| {
        let emit = json!({ "event": "order:again", "data": 1, "to": { "everyone": true } });
        text(200, json!({ "emit": vec![emit; 100] }).to_string())
    })
    .await;
    let cluster = TestCluster::with(2, &[&backend.hook("events=*")]).await;
    let [ana, ben] = cluster.clients().await;
    ana.done("order:x", json!(1)).await;
    for _ in 0..100 {
        ben.next("order:again").await;
    }
    ben.done("order:y", json!(1)).await;
    assert_eq!(backend.calls().len(), 2);
    let received: Vec<Value> = ana.all("order:again");
    assert!(received.iter().all(|data| *data == json!(1)));
}
