//! A polling connection becomes a WebSocket: nothing is lost, doubled or reordered.

use std::time::Duration;

use bytes::Bytes;
use jackfield_engine::{CloseReason, EngineKind, EngineLimits, Frame, Parts};

use crate::harness::{
    BINARY, Call, FIN, Message, SEPARATOR, Server, TEXT, close_frame, for_each_engine, frame, limits, numbered, packet,
};

for_each_engine!(
    messages_arrive_both_ways_after_an_upgrade,
    a_hanging_poll_is_released,
    a_poll_during_the_probe_is_released,
    the_queue_moves_to_the_websocket,
    frames_of_every_phase_arrive_once_in_order,
    packets_of_every_phase_are_received_in_order,
    packets_that_come_with_the_upgrade_are_received,
    binary_parts_arrive_both_ways_after_an_upgrade,
    an_upgraded_connection_takes_no_more_requests,
    an_upgraded_connection_ends_like_a_websocket,
    an_upgraded_connection_is_closed_like_a_websocket,
    the_heartbeat_goes_on_after_an_upgrade,
    admission_is_kept_over_an_upgrade,
);

async fn messages_arrive_both_ways_after_an_upgrade(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    let mut websocket = client.probe().await;
    websocket.text("5").await;
    websocket.text("42[\"a\"]").await;
    assert_eq!(session.event().await, "[\"a\"]");
    session.outbox.send(&numbered(1).0).unwrap();
    assert_eq!(websocket.packet().await, numbered(1).1);
    assert_eq!(server.opened(), 0, "it is the same connection");
}

async fn a_hanging_poll_is_released(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    let poll = client.hanging_poll().await;
    let mut websocket = client.probe().await;
    assert_eq!(poll.answer().await.ok(), "6");
    websocket.text("5").await;
    session.outbox.send(&numbered(1).0).unwrap();
    assert_eq!(websocket.packet().await, numbered(1).1);
}

async fn a_poll_during_the_probe_is_released(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    let mut websocket = client.probe().await;
    for _ in 0..3 {
        assert_eq!(client.poll().await.ok(), "6");
    }
    websocket.text("5").await;
    session.outbox.send(&numbered(1).0).unwrap();
    assert_eq!(websocket.packet().await, numbered(1).1);
}

async fn the_queue_moves_to_the_websocket(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    let mut websocket = client.probe().await;
    for number in 0..500 {
        session.outbox.send(&numbered(number).0).unwrap();
    }
    websocket.text("5").await;
    for number in 0..500 {
        assert_eq!(websocket.packet().await, numbered(number).1);
    }
    session.flushed().await;
}

async fn frames_of_every_phase_arrive_once_in_order(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    for _ in 0..10 {
        let (client, session) = server.connected_polling().await;
        let outbox = session.outbox.clone();
        let sending = tokio::task::spawn_blocking(move || {
            for number in 0..2_000 {
                outbox.send(&numbered(number).0).unwrap();
                std::thread::yield_now();
            }
        });
        let mut received = Vec::new();
        let mut take = |payload: String| {
            let packets = payload.split(SEPARATOR).filter(|packet| *packet != "6").map(str::to_owned);
            received.extend(packets);
        };
        take(client.poll().await.ok());
        let poll = client.begin_poll().await;
        let mut websocket = client.probe().await;
        take(poll.answer().await.ok());
        websocket.text("5").await;
        while received.len() < 2_000 {
            received.push(websocket.packet().await);
        }
        let expected: Vec<_> = (0..2_000).map(|number| numbered(number).1).collect();
        assert!(received == expected, "{received:?}");
        sending.await.unwrap();
        session.flushed().await;
    }
}

async fn packets_of_every_phase_are_received_in_order(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    client.send(&numbered(0).1).await;
    let mut websocket = client.probe().await;
    client.send(&[numbered(1).1, numbered(2).1].join(SEPARATOR)).await;
    let upgrade = [frame(FIN | TEXT, "5"), frame(FIN | TEXT, numbered(3).1), frame(FIN | TEXT, numbered(4).1)];
    websocket.send(&upgrade.concat()).await;
    for number in 0..5 {
        assert_eq!(session.event().await, format!("[\"n\",{number}]"));
    }
}

async fn packets_that_come_with_the_upgrade_are_received(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    // The client trusts the probe and does not wait for its answer.
    let early: Vec<_> = ["2probe", "5", "42[\"a\"]"].iter().flat_map(|packet| frame(FIN | TEXT, packet)).collect();
    let mut websocket = client.upgrade_with(&early).await.1.unwrap();
    assert_eq!(websocket.packet().await, "3probe");
    assert_eq!(session.event().await, "[\"a\"]");
    session.outbox.send(&numbered(1).0).unwrap();
    assert_eq!(websocket.packet().await, numbered(1).1);
}

async fn binary_parts_arrive_both_ways_after_an_upgrade(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    let content = format!("\"b\",{}", Parts::placeholder(0));
    let sent = Frame::event_with("/", &content, Some(&Parts::one(Bytes::from_static(b"\xff"))));
    let mut websocket = client.probe().await;
    session.outbox.send(&sent).unwrap();
    websocket.text("5").await;
    assert_eq!(websocket.packet().await, packet(&sent));
    assert_eq!(websocket.next().await, Message::Binary(Bytes::from_static(b"\xff")));
    websocket.text(&packet(&sent)).await;
    websocket.send(&frame(FIN | BINARY, b"\xff")).await;
    assert!(matches!(session.next().await, Call::Part(_)));
    assert_eq!(session.next().await, Call::Part(1));
    assert!(matches!(session.next().await, Call::Packet(..)));
}

async fn an_upgraded_connection_takes_no_more_requests(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    let mut websocket = client.probe().await;
    // The answer shows that the upgrade is complete.
    websocket.send(&[frame(FIN | TEXT, "5"), frame(FIN | TEXT, "42[\"a\"]")].concat()).await;
    assert_eq!(session.event().await, "[\"a\"]");
    assert_eq!(client.poll().await.status, 400);
    assert_eq!(client.post("42[\"posted\"]").await.status, 400);
    client.upgrade_is_refused().await;
    websocket.text("42[\"b\"]").await;
    assert_eq!(session.event().await, "[\"b\"]");
}

async fn an_upgraded_connection_ends_like_a_websocket(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    for way in 0..3 {
        let (client, session) = server.connected_polling().await;
        let mut websocket = client.probe().await;
        websocket.text("5").await;
        let reason = match way {
            0 => {
                websocket.send(&close_frame(1000, "")).await;
                websocket.rest().await;
                CloseReason::ClientClosed
            }
            1 => {
                websocket.text("1").await;
                websocket.rest().await;
                CloseReason::ClientClosed
            }
            _ => {
                drop(websocket);
                CloseReason::TransportError
            }
        };
        assert_eq!(session.next().await, Call::Closed(reason));
        session.is_released().await;
        client.is_over().await;
    }
}

async fn an_upgraded_connection_is_closed_like_a_websocket(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    let mut websocket = client.probe().await;
    websocket.send(&[frame(FIN | TEXT, "5"), frame(FIN | TEXT, "42[\"a\"]")].concat()).await;
    assert_eq!(session.event().await, "[\"a\"]");
    session.outbox.send(&numbered(1).0).unwrap();
    assert!(session.outbox.is_flushed(), "closing writes the queue");
    session.outbox.close(CloseReason::Draining);
    assert_eq!(websocket.packet().await, numbered(1).1);
    assert!(server.is_goodbye(&websocket.rest().await));
    assert_eq!(session.next().await, Call::Closed(CloseReason::Draining));
    client.is_over().await;
}

async fn the_heartbeat_goes_on_after_an_upgrade(kind: EngineKind) {
    let (ping_interval, ping_timeout) = (Duration::from_millis(500), Duration::from_secs(2));
    let server = Server::start(kind, EngineLimits { ping_interval, ping_timeout, ..limits() }).await;
    let (client, session) = server.connected_polling().await;
    let mut websocket = client.probe().await;
    websocket.text("5").await;
    for _ in 0..3 {
        assert_eq!(websocket.packet().await, "2");
        websocket.text("3").await;
    }
    assert_eq!(websocket.packet().await, "2");
    assert_eq!(session.next().await, Call::Closed(CloseReason::PingTimeout));
}

async fn admission_is_kept_over_an_upgrade(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let long = format!("42[\"{}\"]", "x".repeat(90_000));
    let (client, session) = server.connected_polling().await;
    session.outbox.admitted();
    let mut websocket = client.probe().await;
    websocket.text("5").await;
    websocket.text(&long).await;
    assert_eq!(session.event().await, long[2..]);
    // Without admission, the bytes before the upgrade count.
    let (client, session) = server.connected_polling().await;
    let ack = format!("430[\"{}\"]", "x".repeat(12_000));
    client.send(&ack).await;
    assert!(session.next().await.is_ack(ack.len() - 1));
    let mut websocket = client.probe().await;
    websocket.text("5").await;
    let _ = websocket.try_send(&frame(FIN | TEXT, &ack)).await;
    websocket.rest().await;
    assert!(matches!(session.next().await, Call::Closed(_)));
}
