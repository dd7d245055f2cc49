//! Second probes, and ends of the connection, during an upgrade.

use jackfield_engine::{CloseReason, EngineKind};

use crate::{
    differences::Difference,
    harness::{Call, FIN, Server, TEXT, for_each_engine, frame, limits, numbered},
};

for_each_engine!(
    a_second_probe_is_refused,
    closing_during_a_probe_ends_the_connection,
    a_close_packet_during_a_probe_ends_the_connection,
    aborting_during_a_probe_ends_the_connection,
    an_end_and_an_upgrade_may_race,
);

async fn a_second_probe_is_refused(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    let mut websocket = client.probe().await;
    if server.differs(Difference::SecondProbeWaits) {
        drop(client.upgrade().await.1.expect("the handshake is accepted"));
    } else {
        client.upgrade_is_refused().await;
    }
    websocket.text("5").await;
    websocket.text("42[\"a\"]").await;
    assert_eq!(session.event().await, "[\"a\"]");
    session.outbox.send(&numbered(1).0).unwrap();
    assert_eq!(websocket.packet().await, numbered(1).1);
}

async fn closing_during_a_probe_ends_the_connection(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    let mut websocket = client.probe().await;
    session.outbox.close(CloseReason::Draining);
    assert_eq!(session.next().await, Call::Closed(CloseReason::Draining));
    websocket.rest().await;
    client.is_over().await;
    session.is_released().await;
}

async fn a_close_packet_during_a_probe_ends_the_connection(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    let mut websocket = client.probe().await;
    client.send("1").await;
    assert_eq!(session.next().await, Call::Closed(CloseReason::ClientClosed));
    websocket.rest().await;
    client.is_over().await;
    session.is_released().await;
}

async fn aborting_during_a_probe_ends_the_connection(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    let mut websocket = client.probe().await;
    session.outbox.abort(CloseReason::TooSlow);
    assert_eq!(session.next().await, Call::Closed(CloseReason::TooSlow));
    websocket.rest().await;
    client.is_over().await;
}

async fn an_end_and_an_upgrade_may_race(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    for round in 0..30 {
        let (client, session) = server.connected_polling().await;
        let mut websocket = client.probe().await;
        let outbox = session.outbox.clone();
        let ending = tokio::task::spawn_blocking(move || match round % 2 {
            0 => outbox.close(CloseReason::Idle),
            _ => outbox.abort(CloseReason::Idle),
        });
        // The connection may be gone.
        let _ = websocket.try_send(&frame(FIN | TEXT, "5")).await;
        ending.await.unwrap();
        assert_eq!(session.closed().await, CloseReason::Idle);
        websocket.rest().await;
        session.is_released().await;
        client.is_over().await;
        assert_eq!(session.calls(), [Call::Closed(CloseReason::Idle)]);
    }
}
