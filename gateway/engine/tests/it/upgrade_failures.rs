//! A probe that fails does no harm: the connection goes on with polling.

use jackfield_engine::{CloseReason, EngineKind};

use crate::{
    differences::Difference,
    harness::{
        BINARY, Call, FIN, Polling, Recorder, Server, TEXT, WebSocket, close_frame, for_each_engine, frame, in_time,
        limits, numbered,
    },
};

for_each_engine!(
    a_probe_that_is_cut_does_no_harm,
    a_probe_that_the_client_closes_does_no_harm,
    a_probe_with_a_wrong_packet_does_no_harm,
    a_probe_that_breaks_the_protocol_does_no_harm,
    an_upgrade_with_a_wrong_packet_does_no_harm,
    a_probe_without_an_upgrade_ends_in_time,
    an_upgrade_may_succeed_after_a_failed_one,
);

/// The connection goes on with polling, in both directions.
async fn goes_on(server: &Server, client: &Polling<'_>, session: &Recorder) {
    client.send("42[\"a\"]").await;
    assert_eq!(session.event().await, "[\"a\"]");
    if server.differs(Difference::FailedProbeBlocksPolling) {
        // Answered at once, without the frame.
        session.outbox.send(&numbered(1).0).unwrap();
        assert_eq!(client.poll().await.ok(), "6");
        return;
    }
    session.outbox.send(&numbered(0).0).unwrap();
    in_time("the probe is given up", async {
        loop {
            match client.poll().await.ok() {
                // Released by a probe that was not given up yet.
                noop if noop == "6" => {}
                answer => break assert_eq!(answer, numbered(0).1),
            }
        }
    })
    .await;
    for number in 0..3 {
        let poll = client.hanging_poll().await;
        session.outbox.send(&numbered(number).0).unwrap();
        assert_eq!(poll.answer().await.ok(), numbered(number).1);
    }
}

/// Waits until the engine has given up the WebSocket.
async fn is_given_up(mut websocket: WebSocket) {
    websocket.rest().await;
}

async fn a_probe_that_is_cut_does_no_harm(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    for is_answered in [false, true] {
        let (client, session) = server.connected_polling().await;
        let websocket = if is_answered { client.probe().await } else { client.upgrade().await.1.unwrap() };
        drop(websocket);
        goes_on(&server, &client, &session).await;
    }
}

async fn a_probe_that_the_client_closes_does_no_harm(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    for is_answered in [false, true] {
        let (client, session) = server.connected_polling().await;
        let mut websocket = if is_answered { client.probe().await } else { client.upgrade().await.1.unwrap() };
        websocket.send(&close_frame(1000, "")).await;
        is_given_up(websocket).await;
        goes_on(&server, &client, &session).await;
    }
}

async fn a_probe_with_a_wrong_packet_does_no_harm(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    for wrong in ["2", "3probe", "42[\"a\"]", "1", "", "nonsense"] {
        let (client, session) = server.connected_polling().await;
        let mut websocket = client.upgrade().await.1.unwrap();
        websocket.text(wrong).await;
        is_given_up(websocket).await;
        goes_on(&server, &client, &session).await;
    }
}

async fn an_upgrade_with_a_wrong_packet_does_no_harm(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    for wrong in ["3", "42[\"a\"]", "1", "", "nonsense"] {
        let (client, session) = server.connected_polling().await;
        let mut websocket = client.probe().await;
        websocket.text(wrong).await;
        is_given_up(websocket).await;
        goes_on(&server, &client, &session).await;
    }
}

async fn a_probe_that_breaks_the_protocol_does_no_harm(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    for wrong in [frame(FIN | 0x70 | TEXT, "2probe"), frame(FIN | BINARY, "2probe"), frame(FIN | TEXT, b"\xff")] {
        let (client, session) = server.connected_polling().await;
        let mut websocket = client.upgrade().await.1.unwrap();
        websocket.send(&wrong).await;
        is_given_up(websocket).await;
        goes_on(&server, &client, &session).await;
    }
}

async fn a_probe_without_an_upgrade_ends_in_time(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    let mut silent = client.upgrade().await.1.unwrap();
    let (other, other_session) = server.connected_polling().await;
    let mut probed = other.probe().await;
    // Given up after 10 s.
    silent.rest().await;
    probed.rest().await;
    if server.differs(Difference::SlowProbeEndsTheConnection) {
        assert_eq!(session.next().await, Call::Closed(CloseReason::TransportError));
        assert_eq!(other_session.next().await, Call::Closed(CloseReason::TransportError));
        return;
    }
    goes_on(&server, &client, &session).await;
    goes_on(&server, &other, &other_session).await;
}

async fn an_upgrade_may_succeed_after_a_failed_one(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    let mut failed = client.probe().await;
    failed.text("nonsense").await;
    is_given_up(failed).await;
    let mut websocket = client.probe().await;
    session.outbox.send(&numbered(1).0).unwrap();
    websocket.text("5").await;
    assert_eq!(websocket.packet().await, numbered(1).1);
    websocket.text("42[\"a\"]").await;
    assert_eq!(session.event().await, "[\"a\"]");
}
