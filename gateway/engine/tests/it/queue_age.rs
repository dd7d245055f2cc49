//! A client whose queue holds many bytes must read them within `limits.queueAge`.

use std::time::{Duration, Instant};

use jackfield_engine::{CloseReason, EngineKind, EngineLimits};

use crate::harness::{Call, Server, event, for_each_engine, limits, numbered, packet};

for_each_engine!(
    a_websocket_that_does_not_read_is_closed,
    a_polling_client_that_does_not_poll_is_closed,
    a_client_that_reads_in_time_stays,
    a_client_with_few_bytes_waiting_stays,
);

const AGE: Duration = Duration::from_secs(1);

fn short_age() -> EngineLimits {
    EngineLimits { queue_age: AGE, ..limits() }
}

async fn a_websocket_that_does_not_read_is_closed(kind: EngineKind) {
    let server = Server::start(kind, short_age()).await;
    let (mut client, session) = server.connected().await;
    let start = Instant::now();
    let long = event("long", &"x".repeat(300_000));
    for _ in 0..100 {
        session.outbox.send(&long).unwrap();
    }
    assert_eq!(session.next().await, Call::Closed(CloseReason::TooSlow));
    assert!(start.elapsed() >= AGE);
    // The queue was dropped.
    assert!(client.rest().await.len() < 100);
}

async fn a_polling_client_that_does_not_poll_is_closed(kind: EngineKind) {
    let server = Server::start(kind, short_age()).await;
    let (client, session) = server.connected_polling().await;
    let start = Instant::now();
    session.outbox.send(&event("long", &"x".repeat(100_000))).unwrap();
    assert_eq!(session.next().await, Call::Closed(CloseReason::TooSlow));
    assert!(start.elapsed() >= AGE);
    client.is_over().await;
}

async fn a_client_that_reads_in_time_stays(kind: EngineKind) {
    let server = Server::start(kind, short_age()).await;
    let (mut websocket, session) = server.connected().await;
    let (polling, of_polling) = server.connected_polling().await;
    let long = event("long", &"x".repeat(300_000));
    let start = Instant::now();
    // In every round much is queued, and it is read soon after.
    for outbox in [&session.outbox, &of_polling.outbox] {
        outbox.send(&long).unwrap();
    }
    while start.elapsed() < 3 * AGE {
        for outbox in [&session.outbox, &of_polling.outbox] {
            outbox.send(&long).unwrap();
        }
        assert_eq!(websocket.packet().await, packet(&long));
        assert!(polling.poll().await.ok().starts_with(&packet(&long)));
        tokio::time::sleep(AGE / 20).await;
    }
    assert!(!session.is_closed() && !of_polling.is_closed());
}

async fn a_client_with_few_bytes_waiting_stays(kind: EngineKind) {
    let server = Server::start(kind, short_age()).await;
    let (client, session) = server.connected_polling().await;
    session.outbox.send(&numbered(1).0).unwrap();
    // Meanwhile another client, with many bytes, is closed.
    let (_slow, other) = server.connected_polling().await;
    other.outbox.send(&event("long", &"x".repeat(100_000))).unwrap();
    assert_eq!(other.closed().await, CloseReason::TooSlow);
    assert_eq!(client.poll().await.ok(), numbered(1).1);
}
