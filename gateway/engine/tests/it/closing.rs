//! The end of a WebSocket from either side: the frames that are still written, and the reason that is reported.

use std::{sync::Arc, time::Duration};

use jackfield_engine::{CloseReason, EngineKind, EngineLimits, Inbound};

use crate::{
    differences::Difference,
    harness::{
        CLOSE, Call, FIN, Message, Server, TEXT, close_frame, event, for_each_engine, frame, in_time, limits, numbered,
        packet,
    },
};

for_each_engine!(
    a_close_of_the_client_is_answered,
    a_close_packet_ends_the_connection,
    a_cut_connection_ends,
    nothing_after_a_close_of_the_client_is_received,
    closing_writes_the_queue_first,
    closing_writes_the_queue_to_a_client_that_is_sending,
    closing_ends_a_client_that_does_not_read,
    the_first_reason_counts,
    the_end_is_reported_once_if_both_sides_close,
    aborting_drops_the_queue,
    nothing_is_received_after_an_abort,
    nothing_is_received_after_an_abort_elsewhere,
    closing_while_a_packet_is_received_ends_the_connection,
    sending_after_the_end_is_no_error,
    a_connection_that_is_not_read_is_still_written,
    the_end_releases_the_session,
);

/// Bytes that do not fit into the buffers of the kernel.
const MANY: usize = 30_000_000;

async fn a_close_of_the_client_is_answered(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    for (sent, answer) in [
        (close_frame(1000, ""), Some(1000)),
        (close_frame(1001, "bye"), Some(1001)),
        (close_frame(4999, ""), Some(4999)),
        (frame(FIN | CLOSE, ""), None),
    ] {
        let (mut client, session) = server.connected().await;
        client.send(&sent).await;
        assert_eq!(client.rest().await, [Message::Close(answer)]);
        assert_eq!(session.next().await, Call::Closed(CloseReason::ClientClosed));
    }
}

async fn a_close_packet_ends_the_connection(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (mut client, session) = server.connected().await;
    client.text("1").await;
    assert!(matches!(client.rest().await[..], [Message::Close(_)]));
    assert_eq!(session.next().await, Call::Closed(CloseReason::ClientClosed));
}

async fn a_cut_connection_ends(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected().await;
    drop(client);
    assert_eq!(session.next().await, Call::Closed(CloseReason::TransportError));
    // Within a frame.
    let (mut client, session) = server.connected().await;
    client.send(&frame(FIN | TEXT, "42[\"a\"]")[..8]).await;
    drop(client);
    assert_eq!(session.next().await, Call::Closed(CloseReason::TransportError));
}

async fn nothing_after_a_close_of_the_client_is_received(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    for close in [close_frame(1000, ""), frame(FIN | TEXT, "1")] {
        let (mut client, session) = server.connected().await;
        client.send(&[close, frame(FIN | TEXT, "42[\"after\"]"), frame(0x7f, "")].concat()).await;
        assert!(matches!(client.rest().await[..], [Message::Close(_)]));
        assert_eq!(session.next().await, Call::Closed(CloseReason::ClientClosed));
    }
}

async fn closing_writes_the_queue_first(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (mut client, session) = server.connected().await;
    // Everything that the client has sent was received.
    client.text("42[\"a\"]").await;
    assert_eq!(session.event().await, "[\"a\"]");
    let long = event("long", &"x".repeat(50_000));
    for _ in 0..100 {
        session.outbox.send(&long).unwrap();
    }
    session.outbox.send(&numbered(1).0).unwrap();
    assert!(session.outbox.is_flushed(), "closing would drop nothing");
    session.outbox.close(CloseReason::Draining);
    for _ in 0..100 {
        assert_eq!(client.packet().await, packet(&long));
    }
    assert_eq!(client.packet().await, numbered(1).1);
    assert!(server.is_goodbye(&client.rest().await));
    assert_eq!(session.next().await, Call::Closed(CloseReason::Draining));
}

async fn closing_writes_the_queue_to_a_client_that_is_sending(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let long = event("long", &"x".repeat(50_000));
    for _ in 0..20 {
        let (mut client, session) = server.connected().await;
        session.outbox.admitted();
        for _ in 0..100 {
            session.outbox.send(&long).unwrap();
        }
        session.outbox.close(CloseReason::Draining);
        for _ in 0..10 {
            // The connection may be gone.
            let _ = client.try_send(&frame(FIN | TEXT, "42[\"a\"]")).await;
        }
        let read = client.rest().await;
        assert_eq!(session.closed().await, CloseReason::Draining);
        if !server.differs(Difference::UnreadBytesResetTheConnection) {
            assert!(read.len() > 100 && server.is_goodbye(&read[100..]), "{}", read.len());
        }
    }
}

async fn closing_ends_a_client_that_does_not_read(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (mut client, session) = server.connected().await;
    let long = event("long", &"x".repeat(MANY / 100));
    for _ in 0..100 {
        session.outbox.send(&long).unwrap();
    }
    session.outbox.close(CloseReason::Draining);
    assert_eq!(session.next().await, Call::Closed(CloseReason::Draining));
    // The connection is cut although the client reads nothing: sending fails at some time.
    in_time("the connection is cut", async {
        while client.try_send(&frame(FIN | TEXT, "3")).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

async fn the_first_reason_counts(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (mut client, session) = server.connected().await;
    session.outbox.close(CloseReason::Idle);
    session.outbox.close(CloseReason::Draining);
    session.outbox.abort(CloseReason::TooSlow);
    assert_eq!(session.closed().await, CloseReason::Idle);
    client.rest().await;

    let (mut client, session) = server.connected().await;
    client.text("1").await;
    assert_eq!(session.closed().await, CloseReason::ClientClosed);
    session.outbox.close(CloseReason::Idle);
    session.outbox.abort(CloseReason::TooSlow);
    client.rest().await;
    assert_eq!(session.calls(), [Call::Closed(CloseReason::ClientClosed)]);
}

async fn the_end_is_reported_once_if_both_sides_close(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    for round in 0..60 {
        let (mut client, session) = server.connected().await;
        let outbox = session.outbox.clone();
        let ours = tokio::task::spawn_blocking(move || match round % 3 {
            0 => outbox.abort(CloseReason::Idle),
            _ => outbox.close(CloseReason::Idle),
        });
        let theirs = if round % 2 == 0 { close_frame(1000, "") } else { frame(FIN | TEXT, "1") };
        // The connection may be gone.
        let _ = client.try_send(&theirs).await;
        ours.await.unwrap();
        let reason = session.closed().await;
        assert!(matches!(reason, CloseReason::Idle | CloseReason::ClientClosed), "{reason:?}");
        client.rest().await;
        assert_eq!(session.calls(), [Call::Closed(reason)]);
    }
}

async fn aborting_drops_the_queue(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (mut client, session) = server.connected().await;
    let long = event("long", &"x".repeat(MANY / 100));
    for _ in 0..100 {
        session.outbox.send(&long).unwrap();
    }
    session.outbox.abort(CloseReason::TooSlow);
    assert_eq!(session.next().await, Call::Closed(CloseReason::TooSlow));
    let read = client.rest().await.len();
    assert!(read < 100, "{read}");
}

async fn nothing_is_received_after_an_abort(kind: EngineKind) {
    let server = Server::reacting(kind, limits(), |session, packet| {
        if matches!(packet, Inbound::Event { .. }) {
            session.outbox.abort(CloseReason::Flooding);
        }
    })
    .await;
    let (mut client, session) = server.connected().await;
    client.send(&frame(FIN | TEXT, "42[\"a\"]").repeat(20)).await;
    client.rest().await;
    assert_eq!(session.event().await, "[\"a\"]");
    assert_eq!(session.next().await, Call::Closed(CloseReason::Flooding));
}

async fn nothing_is_received_after_an_abort_elsewhere(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    for _ in 0..200 {
        let (mut client, session) = server.connected().await;
        session.outbox.admitted();
        let aborting = tokio::task::spawn_blocking({
            let session = Arc::clone(&session);
            move || {
                while session.calls().is_empty() {
                    std::thread::yield_now();
                }
                session.outbox.abort(CloseReason::Flooding);
            }
        });
        // The abort comes while they are received.
        let _ = client.try_send(&frame(FIN | TEXT, "42[\"a\"]").repeat(500)).await;
        aborting.await.unwrap();
        client.rest().await;
        assert_eq!(session.closed().await, CloseReason::Flooding);
    }
}

async fn closing_while_a_packet_is_received_ends_the_connection(kind: EngineKind) {
    let server = Server::reacting(kind, limits(), |session, _| {
        session.outbox.send(&event("last", "words")).unwrap();
        session.outbox.close(CloseReason::Idle);
    })
    .await;
    let (mut client, session) = server.connected().await;
    client.send(&frame(FIN | TEXT, "42[\"a\"]").repeat(20)).await;
    assert_eq!(client.packet().await, packet(&event("last", "words")));
    client.rest().await;
    assert_eq!(session.closed().await, CloseReason::Idle);
}

async fn sending_after_the_end_is_no_error(kind: EngineKind) {
    let server = Server::start(kind, EngineLimits { queue: 4, queue_bytes: 1_000, ..limits() }).await;
    let (mut client, session) = server.connected().await;
    client.text("1").await;
    session.closed().await;
    for number in 0..100 {
        assert_eq!(session.outbox.send(&numbered(number).0), Ok(()));
        assert_eq!(session.outbox.send(&event("long", &"x".repeat(500))), Ok(()));
    }
}

async fn a_connection_that_is_not_read_is_still_written(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (mut client, session) = server.connected().await;
    client.text("42[\"before\"]").await;
    assert_eq!(session.event().await, "[\"before\"]");
    session.outbox.stop_reading();
    client.send(&frame(FIN | TEXT, "42[\"after\"]").repeat(20)).await;
    for number in 0..100 {
        session.outbox.send(&numbered(number).0).unwrap();
        assert_eq!(client.packet().await, numbered(number).1);
    }
    session.outbox.abort(CloseReason::Flooding);
    client.rest().await;
    assert_eq!(session.next().await, Call::Closed(CloseReason::Flooding));
}

async fn the_end_releases_the_session(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    for way in 0..5 {
        let (mut client, session) = server.connected().await;
        match way {
            0 => client.send(&close_frame(1000, "")).await,
            1 => client.text("1").await,
            2 => client.text("nonsense").await,
            3 => session.outbox.close(CloseReason::Idle),
            _ => session.outbox.abort(CloseReason::Idle),
        }
        session.closed().await;
        client.rest().await;
        session.is_released().await;
    }
    let (client, session) = server.connected().await;
    drop(client);
    session.is_released().await;
}
