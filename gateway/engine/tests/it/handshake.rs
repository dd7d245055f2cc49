//! A handshake begins a connection.

use std::time::Duration;

use jackfield_engine::{EngineKind, EngineLimits, Inbound, Transport};
use serde_json::{Value, json};

use crate::{
    differences::Difference,
    harness::{Call, FIN, Server, TEXT, WebSocket, for_each_engine, frame, handshake_headers, limits},
};

for_each_engine!(
    a_websocket_gets_an_open_packet,
    a_polling_client_gets_an_open_packet,
    frames_that_come_with_the_handshake_are_received,
    half_a_frame_that_comes_with_the_handshake_is_completed,
    variants_of_a_websocket_handshake_are_accepted,
    the_handshake_and_its_permit_reach_the_gateway,
    every_connection_has_an_id_of_its_own,
);

/// An open packet without its id, which must be there.
fn open_packet(packet: &str) -> (String, Value) {
    let mut open: Value = serde_json::from_str(packet.strip_prefix('0').unwrap()).unwrap();
    let sid = open.as_object_mut().unwrap().remove("sid").unwrap();
    let sid = sid.as_str().unwrap().to_owned();
    assert!(sid.len() >= 16, "{sid}");
    (sid, open)
}

fn special_limits() -> EngineLimits {
    EngineLimits {
        ping_interval: Duration::from_millis(25_250),
        ping_timeout: Duration::from_secs(20),
        max_message: 123_456,
        ..limits()
    }
}

async fn a_websocket_gets_an_open_packet(kind: EngineKind) {
    let server = Server::start(kind, special_limits()).await;
    let mut client = server.silent_websocket(b"").await;
    let (_, open) = open_packet(&client.packet().await);
    let expected = json!({ "upgrades": [], "pingInterval": 25_250, "pingTimeout": 20_000, "maxPayload": 123_456 });
    assert_eq!(open, expected);
}

async fn a_polling_client_gets_an_open_packet(kind: EngineKind) {
    let server = Server::start(kind, special_limits()).await;
    let answer = server.request("GET", "EIO=4&transport=polling").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=UTF-8"));
    let no_store = (!server.differs(Difference::NoCacheControl)).then_some("no-store");
    assert_eq!(answer.header("cache-control"), no_store);
    let (_, open) = open_packet(&answer.ok());
    let upgrades = ["websocket"];
    let expected =
        json!({ "upgrades": upgrades, "pingInterval": 25_250, "pingTimeout": 20_000, "maxPayload": 123_456 });
    assert_eq!(open, expected);
}

async fn frames_that_come_with_the_handshake_are_received(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let early = [frame(FIN | TEXT, "40"), frame(FIN | TEXT, "42[\"a\"]")].concat();
    // A long one is not taken over at once.
    for length in [1, 10_000] {
        let padding = "x".repeat(length);
        let headers = [handshake_headers(), vec![("X-Padding", &padding)]].concat();
        let target = "/socket.io/?EIO=4&transport=websocket";
        let mut client = WebSocket::handshake(server.address, target, &headers, &early).await.1.unwrap();
        let session = server.session().await;
        let connect = Inbound::Connect { namespace: "/".into(), auth: None };
        assert_eq!(session.next().await, Call::Packet(connect, 1));
        assert_eq!(session.event().await, "[\"a\"]");
        assert!(client.packet().await.starts_with("0{"));
    }
}

async fn half_a_frame_that_comes_with_the_handshake_is_completed(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let frame = frame(FIN | TEXT, "42[\"a\"]");
    for at in [1, 3, 8] {
        let mut client = server.silent_websocket(&frame[..at]).await;
        assert!(client.packet().await.starts_with("0{"));
        client.send(&frame[at..]).await;
        assert_eq!(server.session().await.event().await, "[\"a\"]");
    }
}

async fn variants_of_a_websocket_handshake_are_accepted(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    for changed in [
        ("Upgrade", "WebSocket"),
        ("Connection", "keep-alive, upgrade"),
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
        ("Sec-WebSocket-Protocol", "chat"),
        ("X-Padding", &"x".repeat(10_000)),
    ] {
        let mut headers = handshake_headers();
        headers.retain(|(name, _)| *name != changed.0);
        headers.push(changed);
        let target = "/socket.io/?EIO=4&transport=websocket&t=abc";
        let (answer, client) = WebSocket::handshake(server.address, target, &headers, b"").await;
        assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{changed:?}");
        assert_eq!(answer.header("upgrade").map(str::to_ascii_lowercase).as_deref(), Some("websocket"));
        assert_eq!(answer.header("connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
        // Nothing that was offered is chosen.
        assert_eq!(answer.header("sec-websocket-extensions").or(answer.header("sec-websocket-protocol")), None);
        assert!(client.unwrap().packet().await.starts_with("0{"), "{changed:?}");
    }
}

async fn the_handshake_and_its_permit_reach_the_gateway(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    server.request("GET", "EIO=4&transport=polling&token=t1").await.ok();
    let polling = server.session().await;
    assert_eq!(polling.handshake.transport, Some(Transport::Polling));
    assert_eq!((polling.handshake.token.as_deref(), polling.has_permit), (Some("t1"), true));
    let target = "/socket.io/?EIO=4&transport=websocket&token=t2";
    let client = WebSocket::handshake(server.address, target, &handshake_headers(), b"").await.1;
    let websocket = server.session().await;
    assert_eq!(websocket.handshake.transport, Some(Transport::WebSocket));
    assert_eq!((websocket.handshake.token.as_deref(), websocket.has_permit), (Some("t2"), true));
    // This gateway drops a permit at once, and the engine keeps none.
    server.permits_are_back().await;
    drop(client);
}

async fn every_connection_has_an_id_of_its_own(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(open_packet(&server.request("GET", "EIO=4&transport=polling").await.ok()).0);
        ids.push(open_packet(&server.silent_websocket(b"").await.packet().await).0);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 40);
}
