//! Packets of Engine.IO and Socket.IO in the messages of a WebSocket.

use bytes::Bytes;
use jackfield_engine::{CloseReason, EngineKind, EngineLimits, Excess, Inbound, Parts};

use crate::{
    differences::Difference,
    harness::{BINARY, Call, FIN, Message, Server, for_each_engine, frame, limits},
};

for_each_engine!(
    socket_io_packets_are_decoded,
    an_acknowledgement_is_decoded_and_counted,
    a_malformed_packet_is_reported,
    an_event_above_a_limit_is_refused,
    a_packet_of_an_unknown_type_ends_the_connection,
    a_ping_of_the_client_ends_the_connection,
    a_probe_without_an_upgrade_ends_the_connection,
);

async fn socket_io_packets_are_decoded(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (mut client, session) = server.connected().await;
    for (packet, expected) in [
        ("40", Inbound::Connect { namespace: "/".into(), auth: None }),
        ("40{\"a\":1}", Inbound::Connect { namespace: "/".into(), auth: Some("{\"a\":1}".into()) }),
        ("40/chat,{\"a\":1}", Inbound::Connect { namespace: "/chat".into(), auth: Some("{\"a\":1}".into()) }),
        ("41/chat,", Inbound::Disconnect { namespace: "/chat".into() }),
        ("41", Inbound::Disconnect { namespace: "/".into() }),
        (
            "42/chat,12[\"a\",{\"b\":[1]}]",
            Inbound::Event {
                namespace: "/chat".into(),
                content: "[\"a\",{\"b\":[1]}]".into(),
                ack: Some(12),
                parts: None,
            },
        ),
    ] {
        client.text(packet).await;
        assert_eq!(session.next().await, Call::Packet(expected, packet.len() - 1));
    }
}

async fn an_acknowledgement_is_decoded_and_counted(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (mut client, session) = server.connected().await;
    let ack = |id, content: &str, parts: &[u8]| {
        let parts = (!parts.is_empty()).then(|| Parts::one(Bytes::copy_from_slice(parts)));
        Inbound::Ack { namespace: "/".into(), id, content: content.into(), parts }
    };
    client.text("437[1]").await;
    assert_eq!(session.next().await, Call::Packet(ack(7, "[1]", b""), 5));
    let content = "[{\"_placeholder\":true,\"num\":0}]";
    client.text(&format!("461-7{content}")).await;
    assert!(matches!(session.next().await, Call::Part(_)));
    client.send(&frame(FIN | BINARY, b"abc")).await;
    assert_eq!(session.next().await, Call::Part(3));
    assert_eq!(session.next().await, Call::Packet(ack(7, content, b"abc"), 0));
    // One with too many parts is dropped, and they with it.
    client.text("4611-7[]").await;
    assert!(matches!(session.next().await, Call::Part(_)));
    for _ in 0..11 {
        client.send(&frame(FIN | BINARY, b"abc")).await;
        assert_eq!(session.next().await, Call::Part(3));
    }
    client.text("42[\"a\"]").await;
    assert_eq!(session.event().await, "[\"a\"]");
}

async fn a_malformed_packet_is_reported(kind: EngineKind) {
    // The gateway ends the connection.
    let server = Server::reacting(kind, limits(), |session, packet| {
        if matches!(packet, Inbound::Malformed) {
            session.outbox.close(CloseReason::Malformed);
        }
    })
    .await;
    for packet in ["4", "4x", "49", "42{}", "42", "42abc[\"a\"]", "40[1]", "45[\"a\"]"] {
        let (mut client, session) = server.connected().await;
        client.text(packet).await;
        assert_eq!(session.next().await, Call::Packet(Inbound::Malformed, packet.len() - 1), "{packet}");
        assert!(server.is_goodbye(&client.rest().await), "{packet}");
        assert_eq!(session.next().await, Call::Closed(CloseReason::Malformed));
    }
    let (mut client, session) = server.connected().await;
    client.send(&frame(FIN | BINARY, b"a part of nothing")).await;
    assert!(matches!(session.next().await, Call::Part(17)));
    assert!(matches!(session.next().await, Call::Packet(Inbound::Malformed, _)));
    assert_eq!(session.closed().await, CloseReason::Malformed);
}

async fn an_event_above_a_limit_is_refused(kind: EngineKind) {
    let server = Server::start(kind, EngineLimits { payload: 100, attachments: 1, ..limits() }).await;
    let (mut client, session) = server.connected().await;
    let refused = |event: &str, ack, excess| {
        let (namespace, event) = ("/".into(), event.into());
        Inbound::Refused { namespace, event, ack, excess }
    };
    let long = format!("427[\"long\",\"{}\"]", "x".repeat(100));
    client.text(&long).await;
    assert_eq!(session.next().await, Call::Packet(refused("long", Some(7), Excess::Bytes), long.len() - 1));
    let many = "452-[\"many\"]";
    client.text(many).await;
    assert_eq!(session.next().await, Call::Packet(refused("many", None, Excess::Parts), many.len() - 1));
    for _ in 0..2 {
        client.send(&frame(FIN | BINARY, b"skipped")).await;
        assert_eq!(session.next().await, Call::Part(7));
    }
    client.text("451-[\"binary\"]").await;
    client.send(&frame(FIN | BINARY, Bytes::from(vec![1; 100]))).await;
    assert!(matches!(session.next().await, Call::Part(_)));
    assert_eq!(session.next().await, Call::Part(100));
    assert_eq!(session.next().await, Call::Packet(refused("binary", None, Excess::Bytes), 0));
    client.text("42[\"a\"]").await;
    assert_eq!(session.event().await, "[\"a\"]");
}

async fn a_packet_of_an_unknown_type_ends_the_connection(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    for packet in ["", "7", "8x", "abc", "ä", "\u{1e}", " 4"] {
        let (mut client, session) = server.connected().await;
        client.text(packet).await;
        assert!(matches!(client.rest().await[..], [Message::Close(_)]), "{packet:?}");
        assert_eq!(session.next().await, Call::Closed(CloseReason::ProtocolError), "{packet:?}");
    }
}

async fn a_ping_of_the_client_ends_the_connection(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (mut client, session) = server.connected().await;
    client.text("2").await;
    if server.differs(Difference::ClientPingIsAPong) {
        client.text("42[\"a\"]").await;
        assert_eq!(session.event().await, "[\"a\"]");
        return;
    }
    assert!(matches!(client.rest().await[..], [Message::Close(_)]));
    assert_eq!(session.next().await, Call::Closed(CloseReason::ProtocolError));
}

async fn a_probe_without_an_upgrade_ends_the_connection(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (mut client, session) = server.connected().await;
    client.text("2probe").await;
    assert!(matches!(client.rest().await[..], [Message::Close(_)]));
    assert_eq!(session.next().await, Call::Closed(CloseReason::ProtocolError));
}
