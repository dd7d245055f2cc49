//! POSTs that are too long.

use jackfield_engine::{CloseReason, EngineKind, EngineLimits};

use crate::harness::{Call, Server, for_each_engine, limits};

for_each_engine!(
    a_post_of_the_longest_length_is_received,
    a_post_that_announces_too_many_bytes_ends_the_connection,
    a_post_that_sends_too_many_bytes_ends_the_connection,
);

const LONGEST: usize = 1_000;

async fn start(kind: EngineKind) -> Server {
    Server::start(kind, EngineLimits { max_message: LONGEST, ..limits() }).await
}

async fn a_post_of_the_longest_length_is_received(kind: EngineKind) {
    let server = start(kind).await;
    let (client, session) = server.connected_polling().await;
    let packet = format!("42[\"{}\"]", "x".repeat(LONGEST - 6));
    assert_eq!(packet.len(), LONGEST);
    client.send(&packet).await;
    assert_eq!(session.event().await, packet[2..]);
    // In chunks, without an announced length.
    let body = format!("{:x}\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n", 500, &packet[..500], 500, &packet[500..]);
    let post = client.begin_post(&[("Transfer-Encoding", "chunked")], body.as_bytes()).await;
    assert_eq!(post.answer().await.ok(), "ok");
    assert_eq!(session.event().await, packet[2..]);
}

async fn a_post_that_announces_too_many_bytes_ends_the_connection(kind: EngineKind) {
    let server = start(kind).await;
    for length in ["1001", "9223372036854775807"] {
        let (client, session) = server.connected_polling().await;
        // Refused before any of the body was sent.
        let post = client.begin_post(&[("Content-Length", length)], b"").await;
        assert_eq!(post.answer().await.status, 413, "{length}");
        assert_eq!(session.next().await, Call::Closed(CloseReason::ProtocolError));
        client.is_over().await;
    }
}

async fn a_post_that_sends_too_many_bytes_ends_the_connection(kind: EngineKind) {
    let server = start(kind).await;
    let (client, session) = server.connected_polling().await;
    let mut post = client.begin_post(&[("Transfer-Encoding", "chunked")], b"").await;
    for _ in 0..=LONGEST / 100 {
        post.send(format!("64\r\n{}\r\n", "4".repeat(100)).as_bytes()).await;
    }
    assert_eq!(post.answer().await.status, 413);
    assert_eq!(session.next().await, Call::Closed(CloseReason::ProtocolError));
    client.is_over().await;
}
