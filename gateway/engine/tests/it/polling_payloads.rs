//! Binary parts in payloads, and payloads that are not valid.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use jackfield_engine::{CloseReason, EngineKind, Frame, Inbound, Parts};

use crate::{
    differences::Difference,
    harness::{Call, Recorder, SEPARATOR, Server, for_each_engine, limits, numbered, packet},
};

for_each_engine!(
    binary_parts_are_sent_in_base64,
    binary_parts_are_received_in_every_variant_of_base64,
    binary_parts_may_be_in_a_payload_of_their_own,
    a_malformed_payload_ends_the_connection,
    an_empty_payload_ends_the_connection,
    a_probe_in_a_payload_ends_the_connection,
    packets_before_a_malformed_one_are_received,
);

/// Every number of bytes modulo 3, and characters that the alphabets write differently.
const PARTS: [&[u8]; 5] = [b"", b"\xff", b"\xfb\xff", b"\xfb\xef\xbe", b"\xff\xfe\xfd\xfc"];

fn content() -> String {
    let placeholders: Vec<_> = (0..PARTS.len()).map(Parts::placeholder).collect();
    format!("\"b\",{}", placeholders.join(","))
}

fn parts() -> Parts {
    Parts::new(PARTS.iter().map(|part| Bytes::from_static(part)).collect()).unwrap()
}

/// The next calls are those of an event with [`PARTS`].
async fn are_received(session: &Recorder) {
    assert!(matches!(session.next().await, Call::Part(_)));
    for part in PARTS {
        assert_eq!(session.next().await, Call::Part(part.len()));
    }
    let content = format!("[{}]", content()).into();
    let event = Inbound::Event { namespace: "/".into(), content, ack: None, parts: Some(parts()) };
    assert_eq!(session.next().await, Call::Packet(event, 0));
}

async fn binary_parts_are_sent_in_base64(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    let frame = Frame::event_with("/", &content(), Some(&parts()));
    session.outbox.send(&frame).unwrap();
    session.outbox.send(&numbered(1).0).unwrap();
    let mut expected = vec![packet(&frame)];
    expected.extend(PARTS.iter().map(|part| format!("b{}", STANDARD.encode(part))));
    expected.push(numbered(1).1);
    assert_eq!(client.poll().await.ok(), expected.join(SEPARATOR));
    session.flushed().await;
}

async fn binary_parts_are_received_in_every_variant_of_base64(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    for variant in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
        for end in ["", "\n", "\r\n"] {
            let mut payload = vec![format!("45{}-[{}]", PARTS.len(), content())];
            payload.extend(PARTS.iter().map(|part| format!("b{}{end}", variant.encode(part))));
            client.send(&payload.join(SEPARATOR)).await;
            are_received(&session).await;
        }
    }
}

async fn binary_parts_may_be_in_a_payload_of_their_own(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    client.send(&format!("45{}-[{}]", PARTS.len(), content())).await;
    for part in PARTS {
        client.send(&format!("b{}", STANDARD.encode(part))).await;
    }
    are_received(&session).await;
}

async fn a_malformed_payload_ends_the_connection(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let payloads: [&[u8]; 7] = [b"abc", b"\x1e", b"7", b"b!!!!", b"bA", b"4\xff", b"42[\"\xc3\"]"];
    for payload in payloads {
        let (client, session) = server.connected_polling().await;
        let what = String::from_utf8_lossy(payload);
        assert_eq!(client.post(payload).await.status, 400, "{what}");
        assert_eq!(session.next().await, Call::Closed(CloseReason::ProtocolError), "{what}");
        client.is_over().await;
    }
}

async fn an_empty_payload_ends_the_connection(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    if server.differs(Difference::EmptyPayloadIsAccepted) {
        client.send("").await;
        client.send("42[\"a\"]").await;
        assert_eq!(session.event().await, "[\"a\"]");
        return;
    }
    assert_eq!(client.post("").await.status, 400);
    assert_eq!(session.next().await, Call::Closed(CloseReason::ProtocolError));
    client.is_over().await;
}

async fn a_probe_in_a_payload_ends_the_connection(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    assert_eq!(client.post("2probe").await.status, 400);
    if server.differs(Difference::UnexpectedPacketsAreOnlyRefused) {
        client.send("42[\"a\"]").await;
        assert_eq!(session.event().await, "[\"a\"]");
        return;
    }
    assert_eq!(session.next().await, Call::Closed(CloseReason::ProtocolError));
    client.is_over().await;
}

async fn packets_before_a_malformed_one_are_received(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    for malformed in ["abc", ""] {
        let (client, session) = server.connected_polling().await;
        let payload = ["42[\"before\"]", malformed, "42[\"after\"]"].join(SEPARATOR);
        assert_eq!(client.post(&payload).await.status, 400, "{malformed}");
        assert_eq!(session.event().await, "[\"before\"]");
        assert_eq!(session.next().await, Call::Closed(CloseReason::ProtocolError));
    }
}
