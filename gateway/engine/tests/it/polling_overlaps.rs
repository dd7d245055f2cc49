//! A polling connection has one poll and one POST at a time, and each of them once.

use jackfield_engine::{CloseReason, EngineKind};

use crate::{
    differences::Difference,
    harness::{Call, Server, for_each_engine, limits, numbered},
};

for_each_engine!(
    a_second_poll_ends_the_connection,
    a_second_post_ends_the_connection,
    a_poll_and_a_post_do_not_disturb_each_other,
    a_poll_that_the_client_cuts_ends_the_connection,
    a_post_that_the_client_cuts_ends_the_connection,
    a_repeated_poll_ends_the_connection,
    a_repeated_post_ends_the_connection,
);

async fn a_second_poll_ends_the_connection(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    let first = client.hanging_poll().await;
    assert_eq!(client.poll().await.status, 400);
    assert_eq!(first.answer().await.ok(), "1");
    assert_eq!(session.next().await, Call::Closed(CloseReason::ProtocolError));
    client.is_over().await;
}

async fn a_second_post_ends_the_connection(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    let mut first = client.hanging_post().await;
    assert_eq!(client.post("42[\"second\"]").await.status, 400);
    assert_eq!(session.next().await, Call::Closed(CloseReason::ProtocolError));
    // The rest of the first one is not received. Its connection may be gone.
    let _ = first.try_send(b"[\"first\"]").await;
    first.ended().await;
    client.is_over().await;
}

async fn a_poll_and_a_post_do_not_disturb_each_other(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    for number in 0..20 {
        let poll = client.hanging_poll().await;
        client.send("42[\"a\"]").await;
        assert_eq!(session.event().await, "[\"a\"]");
        session.outbox.send(&numbered(number).0).unwrap();
        assert_eq!(poll.answer().await.ok(), numbered(number).1);
    }
}

async fn a_poll_that_the_client_cuts_ends_the_connection(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    drop(client.hanging_poll().await);
    if server.differs(Difference::CutPollsAreIgnored) {
        server.pending(0).await;
        session.outbox.send(&numbered(1).0).unwrap();
        assert_eq!(client.poll().await.ok(), numbered(1).1);
        return;
    }
    assert_eq!(session.next().await, Call::Closed(CloseReason::TransportError));
    client.is_over().await;
}

async fn a_post_that_the_client_cuts_ends_the_connection(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    drop(client.hanging_post().await);
    let reason = session.closed().await;
    assert!(matches!(reason, CloseReason::TransportError | CloseReason::ProtocolError), "{reason:?}");
    client.is_over().await;
}

async fn a_repeated_poll_ends_the_connection(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    for (number, stamp) in [(1, "a"), (2, "b"), (3, "a")] {
        session.outbox.send(&numbered(number).0).unwrap();
        assert_eq!(client.stamped("GET", stamp, "").await.ok(), numbered(number).1);
    }
    // A balancer lost the answer, and repeats the poll.
    session.outbox.send(&numbered(4).0).unwrap();
    let answer = client.stamped("GET", "a", "").await;
    if server.differs(Difference::RepeatedRequestsAreNew) {
        assert_eq!(answer.ok(), numbered(4).1);
        return;
    }
    answer.is_error(1);
    assert_eq!(session.next().await, Call::Closed(CloseReason::TransportError));
    client.is_over().await;
}

async fn a_repeated_post_ends_the_connection(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    for stamp in ["a", "b", "a"] {
        assert_eq!(client.stamped("POST", stamp, "42[\"a\"]").await.ok(), "ok");
        assert_eq!(session.event().await, "[\"a\"]");
    }
    let answer = client.stamped("POST", "a", "42[\"a\"]").await;
    if server.differs(Difference::RepeatedRequestsAreNew) {
        assert_eq!(answer.ok(), "ok");
        return;
    }
    assert_eq!(answer.status, 400);
    assert!(matches!(session.next().await, Call::Closed(_)));
    client.is_over().await;
}
