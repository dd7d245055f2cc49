//! The bytes that a connection may send before a namespace has admitted it: 16 KiB, after its first CONNECT 64 KiB.

use jackfield_engine::{CloseReason, EngineKind};

use crate::{
    differences::Difference,
    harness::{Call, FIN, Recorder, Server, TEXT, WebSocket, for_each_engine, frame, limits},
};

for_each_engine!(
    a_connection_begins_without_admission,
    before_a_connect_few_bytes_are_received,
    after_a_connect_more_bytes_are_received,
    after_admission_any_number_is_received,
    a_long_message_before_a_connect_is_not_received,
    polling_before_a_connect_few_bytes_are_received,
    polling_after_a_connect_more_bytes_are_received,
    polling_after_admission_any_number_is_received,
);

const KIB: usize = 1024;
/// Bytes of an acknowledgement's frame, below.
const CHUNK: usize = KIB;

/// An acknowledgement, which does not ask for admission, of so many bytes.
fn ack(bytes: usize) -> String {
    format!("430[\"{}\"]", "x".repeat(bytes - 7))
}

/// Sends acknowledgements, in frames of [`CHUNK`] bytes, and waits until they were received.
async fn send(client: &mut WebSocket, session: &Recorder, bytes: usize) {
    let packet = ack(CHUNK - 8);
    assert_eq!(frame(FIN | TEXT, &packet).len(), CHUNK);
    for _ in 0..bytes / CHUNK {
        client.text(&packet).await;
        assert!(session.next().await.is_ack(packet.len() - 1));
    }
}

/// Sends so many bytes that the connection ends, in a packet that is not received.
async fn is_ended_by(server: &Server, client: &mut WebSocket, session: &Recorder, bytes: usize) {
    // The rest may be refused.
    let _ = client.try_send(&frame(FIN | TEXT, ack(bytes))).await;
    client.rest().await;
    let reason = match server.differs(Difference::ExcessIsATransportError) {
        true => CloseReason::TransportError,
        false => CloseReason::ProtocolError,
    };
    assert_eq!(session.next().await, Call::Closed(reason));
}

async fn a_connection_begins_without_admission(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected().await;
    assert!(!session.outbox.is_admitted());
    session.outbox.admitted();
    assert!(session.outbox.is_admitted() && session.outbox.clone().is_admitted());
    drop(client);
    session.closed().await;
    assert!(session.outbox.is_admitted(), "ever");
}

async fn before_a_connect_few_bytes_are_received(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (mut client, session) = server.connected().await;
    send(&mut client, &session, 15 * KIB).await;
    is_ended_by(&server, &mut client, &session, 2 * KIB).await;
}

async fn after_a_connect_more_bytes_are_received(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (mut client, session) = server.connected().await;
    client.text("40").await;
    assert!(matches!(session.next().await, Call::Packet(..)));
    send(&mut client, &session, 63 * KIB).await;
    is_ended_by(&server, &mut client, &session, 2 * KIB).await;
}

async fn after_admission_any_number_is_received(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (mut client, session) = server.connected().await;
    session.outbox.admitted();
    send(&mut client, &session, 200 * KIB).await;
    client.text(&ack(100_000)).await;
    assert!(session.next().await.is_ack(99_999));
}

async fn a_long_message_before_a_connect_is_not_received(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (mut client, session) = server.connected().await;
    is_ended_by(&server, &mut client, &session, 17 * KIB).await;
    let (mut client, session) = server.connected().await;
    client.text("40").await;
    assert!(matches!(session.next().await, Call::Packet(..)));
    is_ended_by(&server, &mut client, &session, 65 * KIB).await;
}

async fn polling_before_a_connect_few_bytes_are_received(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    client.send(&ack(15 * KIB)).await;
    assert!(session.next().await.is_ack(15 * KIB - 1));
    // The head alone is refused.
    let post = client.begin_post(&[("Content-Length", "2048")], b"").await;
    assert_eq!(post.answer().await.status, 413);
    assert_eq!(session.next().await, Call::Closed(CloseReason::ProtocolError));
    client.is_over().await;
}

async fn polling_after_a_connect_more_bytes_are_received(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    client.send("40").await;
    client.send(&ack(60 * KIB)).await;
    let post = client.begin_post(&[("Content-Length", "5000")], b"").await;
    assert_eq!(post.answer().await.status, 413);
    assert_eq!(session.closed().await, CloseReason::ProtocolError);
}

async fn polling_after_admission_any_number_is_received(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    session.outbox.admitted();
    for _ in 0..3 {
        client.send(&ack(100_000)).await;
        assert!(session.next().await.is_ack(99_999));
    }
}
