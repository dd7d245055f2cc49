//! Messages over a WebSocket.

use bytes::Bytes;
use jackfield_engine::{EngineKind, Frame, Inbound, Parts};

use crate::harness::{
    BINARY, CONTINUATION, Call, FIN, Message, PING, PONG, Server, TEXT, event, for_each_engine, frame, limits,
    numbered, packet,
};

for_each_engine!(
    frames_are_sent_in_order,
    packets_are_received_in_order,
    binary_parts_follow_their_text_both_ways,
    messages_of_every_length_arrive_both_ways,
    a_fragmented_message_is_joined,
    a_message_may_arrive_byte_by_byte,
    a_websocket_ping_is_answered,
    many_clients_do_not_mix,
);

async fn frames_are_sent_in_order(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (mut client, session) = server.connected().await;
    for number in 0..1_000 {
        session.outbox.send(&numbered(number).0).unwrap();
    }
    for number in 0..1_000 {
        assert_eq!(client.packet().await, numbered(number).1);
    }
}

async fn packets_are_received_in_order(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (mut client, session) = server.connected().await;
    session.outbox.admitted();
    let packets = |numbers: std::ops::Range<usize>| numbers.flat_map(|number| frame(FIN | TEXT, numbered(number).1));
    client.send(&packets(0..500).collect::<Vec<_>>()).await;
    client.send(&packets(500..1_000).collect::<Vec<_>>()).await;
    for number in 0..1_000 {
        assert_eq!(session.event().await, format!("[\"n\",{number}]"));
    }
}

async fn binary_parts_follow_their_text_both_ways(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (mut client, session) = server.connected().await;
    let content = format!("\"b\",{},{}", Parts::placeholder(0), Parts::placeholder(1));
    let parts = Parts::new(vec![Bytes::from_static(b"\x00\xff"), Bytes::new()]);
    let sent = Frame::event_with("/", &content, parts.as_ref());
    session.outbox.send(&sent).unwrap();
    session.outbox.send(&event("after", "")).unwrap();
    assert_eq!(client.packet().await, packet(&sent));
    assert_eq!(client.next().await, Message::Binary(Bytes::from_static(b"\x00\xff")));
    assert_eq!(client.next().await, Message::Binary(Bytes::new()));
    assert_eq!(client.packet().await, packet(&event("after", "")));

    client.text(&packet(&sent)).await;
    client.send(&frame(FIN | BINARY, b"\x00\xff")).await;
    client.send(&frame(FIN | BINARY, b"")).await;
    client.text(&packet(&event("after", ""))).await;
    let text = sent.text().len();
    assert_eq!(session.next().await, Call::Part(text));
    assert_eq!(session.next().await, Call::Part(2));
    assert_eq!(session.next().await, Call::Part(0));
    let received = Inbound::Event { namespace: "/".into(), content: format!("[{content}]").into(), ack: None, parts };
    assert_eq!(session.next().await, Call::Packet(received, 0));
    assert_eq!(session.event().await, "[\"after\",\"\"]");
}

async fn messages_of_every_length_arrive_both_ways(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (mut client, session) = server.connected().await;
    session.outbox.admitted();
    // Around the borders of a frame's length: the message is `42["l","…"]`.
    let message = |length: usize| event("l", &"x".repeat(length - 10));
    for length in [10, 125, 126, 127, 65_535, 65_536, 100_000] {
        let sent = message(length);
        assert_eq!(packet(&sent).len(), length);
        session.outbox.send(&sent).unwrap();
        assert_eq!(client.packet().await, packet(&sent), "{length}");
        client.text(&packet(&sent)).await;
        let Call::Packet(Inbound::Event { content, .. }, bytes) = session.next().await else { panic!("{length}") };
        assert_eq!((bytes, content.len()), (length - 1, length - 2), "without the types of Engine.IO and Socket.IO");
    }
}

async fn a_fragmented_message_is_joined(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (mut client, session) = server.connected().await;
    let text = "42[\"ä€𝄞\"]";
    // Three frames, cut at every place, also within a character, with an empty frame and a ping in between.
    for cut in 0..=text.len() {
        let (start, end) = text.as_bytes().split_at(cut);
        let frames =
            [frame(TEXT, start), frame(FIN | PING, b"p"), frame(CONTINUATION, b""), frame(FIN | CONTINUATION, end)];
        client.send(&frames.concat()).await;
        assert_eq!(session.event().await, text[2..]);
        assert_eq!(client.next().await, Message::Pong(Bytes::from_static(b"p")));
    }
    client.text(&format!("451-[\"b\",{}]", Parts::placeholder(0))).await;
    client
        .send(&[frame(BINARY, b"\x01"), frame(CONTINUATION, b"\x02"), frame(FIN | CONTINUATION, b"\x03")].concat())
        .await;
    assert!(matches!(session.next().await, Call::Part(_)));
    assert_eq!(session.next().await, Call::Part(3));
    let Call::Packet(Inbound::Event { parts: Some(parts), .. }, 0) = session.next().await else { panic!() };
    assert_eq!(parts.all(), [Bytes::from_static(b"\x01\x02\x03")]);
}

async fn a_message_may_arrive_byte_by_byte(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (mut client, session) = server.connected().await;
    let text = format!("42[\"{}\"]", "x".repeat(200));
    for byte in frame(FIN | TEXT, &text) {
        client.send(&[byte]).await;
    }
    assert_eq!(session.event().await, text[2..]);
}

async fn a_websocket_ping_is_answered(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (mut client, session) = server.connected().await;
    for payload in [&b""[..], b"p", &[0xff; 125]] {
        client.send(&frame(FIN | PING, payload)).await;
        assert_eq!(client.next().await, Message::Pong(Bytes::copy_from_slice(payload)));
    }
    // A pong without a ping is ignored.
    client.send(&frame(FIN | PONG, b"p")).await;
    client.text("42[\"a\"]").await;
    assert_eq!(session.event().await, "[\"a\"]");
}

async fn many_clients_do_not_mix(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let mut connections = Vec::new();
    for _ in 0..50 {
        connections.push(server.connected().await);
    }
    for round in 0..5 {
        for (number, (client, session)) in connections.iter_mut().enumerate() {
            client.text(&numbered(round * 100 + number).1).await;
            session.outbox.send(&numbered(round * 100 + number).0).unwrap();
        }
        for (number, (client, session)) in connections.iter_mut().enumerate() {
            assert_eq!(session.event().await, format!("[\"n\",{}]", round * 100 + number));
            assert_eq!(client.packet().await, numbered(round * 100 + number).1);
        }
    }
}
