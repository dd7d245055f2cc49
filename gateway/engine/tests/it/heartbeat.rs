//! The heartbeat: the server pings, the client must answer in time.

use std::time::{Duration, Instant};

use jackfield_engine::{CloseReason, EngineKind, EngineLimits};

use crate::{
    differences::Difference,
    harness::{Call, Server, for_each_engine, limits, numbered},
};

for_each_engine!(
    the_first_ping_comes_after_the_interval,
    a_client_that_answers_stays,
    a_client_that_does_not_answer_is_closed,
    frames_do_not_delay_a_ping,
    a_polling_client_that_answers_stays,
    a_polling_client_that_does_not_answer_is_closed,
    a_polling_client_that_does_not_poll_is_closed,
);

const INTERVAL: Duration = Duration::from_millis(600);
const TIMEOUT: Duration = Duration::from_secs(1);
/// Engines may check their connections in slices of time, and so act this much early.
const EARLY: Duration = Duration::from_millis(150);

fn fast() -> EngineLimits {
    EngineLimits { ping_interval: INTERVAL, ping_timeout: TIMEOUT, ..limits() }
}

/// A heartbeat that can be answered on a busy machine.
fn patient() -> EngineLimits {
    EngineLimits { ping_timeout: Duration::from_secs(20), ..fast() }
}

#[track_caller]
fn has_lasted(since: Instant, time: Duration) {
    let lasted = since.elapsed();
    assert!(lasted + EARLY >= time, "{lasted:?} instead of {time:?}");
}

async fn the_first_ping_comes_after_the_interval(kind: EngineKind) {
    let server = Server::start(kind, patient()).await;
    let expected = if server.differs(Difference::PingsAtOnce) { Duration::ZERO } else { INTERVAL };
    let start = Instant::now();
    let mut client = server.silent_websocket(b"").await;
    assert!(client.packet().await.starts_with("0{"));
    assert_eq!(client.packet().await, "2");
    has_lasted(start, expected);
}

async fn a_client_that_answers_stays(kind: EngineKind) {
    let server = Server::start(kind, patient()).await;
    let (mut client, session) = server.connected().await;
    let start = Instant::now();
    for _ in 0..4 {
        assert_eq!(client.packet().await, "2");
        client.text("3").await;
    }
    has_lasted(start, 4 * INTERVAL);
    client.text("42[\"a\"]").await;
    assert_eq!(session.event().await, "[\"a\"]");
}

async fn a_client_that_does_not_answer_is_closed(kind: EngineKind) {
    let server = Server::start(kind, fast()).await;
    // With and without an answer to a ping before.
    for answers in [0, 1] {
        let start = Instant::now();
        let (mut client, session) = server.connected().await;
        for _ in 0..answers {
            assert_eq!(client.packet().await, "2");
            client.text("3").await;
        }
        assert_eq!(client.packet().await, "2");
        let rest = client.rest().await;
        assert!(rest.is_empty() || server.is_goodbye(&rest), "{rest:?}");
        has_lasted(start, (answers + 1) * INTERVAL + TIMEOUT);
        assert_eq!(session.next().await, Call::Closed(CloseReason::PingTimeout));
    }
}

async fn frames_do_not_delay_a_ping(kind: EngineKind) {
    let server = Server::start(kind, patient()).await;
    let (mut client, session) = server.connected().await;
    let mut pings = 0;
    for number in 0.. {
        session.outbox.send(&numbered(number).0).unwrap();
        loop {
            match client.packet().await {
                ping if ping == "2" => {
                    pings += 1;
                    client.text("3").await;
                }
                packet => break assert_eq!(packet, numbered(number).1),
            }
        }
        if pings == 3 {
            break;
        }
    }
}

async fn a_polling_client_that_answers_stays(kind: EngineKind) {
    let server = Server::start(kind, patient()).await;
    let (client, session) = server.connected_polling().await;
    let start = Instant::now();
    for _ in 0..3 {
        assert_eq!(client.poll().await.ok(), "2");
        client.send("3").await;
    }
    has_lasted(start, 3 * INTERVAL);
    client.send("42[\"a\"]").await;
    assert_eq!(session.event().await, "[\"a\"]");
}

async fn a_polling_client_that_does_not_answer_is_closed(kind: EngineKind) {
    let server = Server::start(kind, fast()).await;
    let start = Instant::now();
    let (client, session) = server.connected_polling().await;
    assert_eq!(client.poll().await.ok(), "2");
    // A hanging poll is answered.
    assert_eq!(client.poll().await.ok(), "1");
    has_lasted(start, INTERVAL + TIMEOUT);
    assert_eq!(session.next().await, Call::Closed(CloseReason::PingTimeout));
    client.is_over().await;
}

async fn a_polling_client_that_does_not_poll_is_closed(kind: EngineKind) {
    let server = Server::start(kind, fast()).await;
    let start = Instant::now();
    let (client, session) = server.connected_polling().await;
    assert_eq!(session.next().await, Call::Closed(CloseReason::PingTimeout));
    has_lasted(start, INTERVAL + TIMEOUT);
    client.is_over().await;
}
