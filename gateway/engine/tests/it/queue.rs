//! A connection's queue is bounded in frames and in bytes.

use bytes::Bytes;
use jackfield_engine::{EngineKind, EngineLimits, Frame, Full, Parts};

use crate::harness::{Message, SEPARATOR, Server, event, for_each_engine, limits, numbered, packet};

for_each_engine!(
    a_queue_is_full_by_number,
    a_queue_is_full_by_bytes,
    a_frame_with_parts_is_queued_whole_or_not_at_all,
    a_lone_frame_of_any_length_passes,
    without_a_limit_any_number_of_frames_passes,
    a_polling_queue_is_flushed_when_it_is_fetched,
    a_websocket_that_does_not_read_fills_its_queue,
    full_queued_nothing,
);

async fn a_queue_is_full_by_number(kind: EngineKind) {
    let server = Server::start(kind, EngineLimits { queue: 5, ..limits() }).await;
    let (client, session) = server.connected_polling().await;
    for _ in 0..3 {
        for number in 0..5 {
            assert_eq!(session.outbox.send(&numbered(number).0), Ok(()));
        }
        assert_eq!(session.outbox.send(&numbered(5).0), Err(Full));
        assert_eq!(session.outbox.send(&numbered(6).0), Err(Full));
        let expected: Vec<_> = (0..5).map(|number| numbered(number).1).collect();
        assert_eq!(client.poll().await.ok(), expected.join(SEPARATOR));
        session.flushed().await;
    }
}

async fn a_queue_is_full_by_bytes(kind: EngineKind) {
    let server = Server::start(kind, EngineLimits { queue_bytes: 1_000, ..limits() }).await;
    let (client, session) = server.connected_polling().await;
    let of = |bytes: usize| event("e", &"x".repeat(bytes - 9));
    assert_eq!(of(400).bytes(), 400);
    for _ in 0..3 {
        for (bytes, sent) in [(400, Ok(())), (600, Ok(())), (20, Err(Full)), (400, Err(Full))] {
            assert_eq!(session.outbox.send(&of(bytes)), sent, "{bytes}");
        }
        assert_eq!(session.outbox.waiting(), 1_000);
        assert_eq!(client.poll().await.ok(), [packet(&of(400)), packet(&of(600))].join(SEPARATOR));
        session.flushed().await;
    }
}

async fn a_frame_with_parts_is_queued_whole_or_not_at_all(kind: EngineKind) {
    let server = Server::start(kind, EngineLimits { queue_bytes: 1_000, ..limits() }).await;
    let (client, session) = server.connected_polling().await;
    let content = format!("\"b\",{}", Parts::placeholder(0));
    let frame = Frame::event_with("/", &content, Some(&Parts::one(Bytes::from(vec![0; 600]))));
    session.outbox.send(&event("e", &"x".repeat(490))).unwrap();
    assert_eq!(session.outbox.send(&frame), Err(Full));
    assert_eq!(client.poll().await.ok(), packet(&event("e", &"x".repeat(490))));
    session.flushed().await;
    assert_eq!(session.outbox.send(&frame), Ok(()));
    assert_eq!(session.outbox.waiting(), frame.bytes() as u64);
    assert_eq!(client.poll().await.ok().split(SEPARATOR).count(), 2);
    session.flushed().await;
}

async fn a_lone_frame_of_any_length_passes(kind: EngineKind) {
    let server = Server::start(kind, EngineLimits { queue_bytes: 1_000, ..limits() }).await;
    let (client, session) = server.connected_polling().await;
    let long = event("long", &"x".repeat(50_000));
    for _ in 0..3 {
        assert_eq!(session.outbox.send(&long), Ok(()));
        assert_eq!(session.outbox.send(&numbered(1).0), Err(Full));
        assert_eq!(client.poll().await.ok(), packet(&long));
        session.flushed().await;
    }
    let (mut client, session) = server.connected().await;
    for _ in 0..3 {
        assert_eq!(session.outbox.send(&long), Ok(()));
        assert_eq!(client.packet().await, packet(&long));
        session.flushed().await;
    }
}

async fn without_a_limit_any_number_of_frames_passes(kind: EngineKind) {
    let server = Server::start(kind, EngineLimits { queue: 0, ..limits() }).await;
    let (client, session) = server.connected_polling().await;
    for number in 0..20_000 {
        session.outbox.send(&numbered(number).0).unwrap();
    }
    let mut received = 0;
    while received < 20_000 {
        received += client.poll().await.ok().split(SEPARATOR).count();
    }
    session.flushed().await;
}

async fn a_polling_queue_is_flushed_when_it_is_fetched(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    assert!(session.outbox.is_flushed());
    session.outbox.send(&numbered(1).0).unwrap();
    assert!(!session.outbox.is_flushed(), "closing would drop the frame");
    assert_eq!(session.outbox.waiting(), numbered(1).0.bytes() as u64);
    client.poll().await.ok();
    session.flushed().await;
    assert!(session.outbox.is_flushed());
}

/// A frame of 50,000 bytes that begins with a number.
fn long(number: usize) -> Frame {
    Frame::event_json("/", "long", format_args!("{number},\"{}\"", "x".repeat(50_000)))
}

async fn a_websocket_that_does_not_read_fills_its_queue(kind: EngineKind) {
    for limits in [EngineLimits { queue: 20, ..limits() }, EngineLimits { queue_bytes: 1_000_000, ..limits() }] {
        let server = Server::start(kind, limits).await;
        let (mut client, session) = server.connected().await;
        let mut sent = 0;
        while session.outbox.send(&long(sent)).is_ok() {
            sent += 1;
            tokio::task::yield_now().await;
            assert!(sent < 10_000, "the queue has no bound");
        }
        for number in 0..sent {
            assert_eq!(client.packet().await, packet(&long(number)));
        }
        session.flushed().await;
        session.outbox.send(&numbered(1).0).unwrap();
        assert_eq!(client.packet().await, numbered(1).1);
    }
}

async fn full_queued_nothing(kind: EngineKind) {
    let server = Server::start(kind, EngineLimits { queue_bytes: 300_000, ..limits() }).await;
    let (mut client, session) = server.connected().await;
    let outbox = session.outbox.clone();
    // The client reads while frames are sent: some pass, some do not.
    let sending = tokio::task::spawn_blocking(move || {
        let numbers = (0..1_000).filter(|number| outbox.send(&long(*number)).is_ok());
        let sent: Vec<_> = numbers.collect();
        while outbox.send(&numbered(0).0).is_err() {
            std::thread::yield_now();
        }
        sent
    });
    let mut received = Vec::new();
    loop {
        let Message::Text(text) = client.next().await else { panic!() };
        if text == numbered(0).1 {
            break;
        }
        received.push(text);
    }
    let sent: Vec<_> = sending.await.unwrap().into_iter().map(|number| packet(&long(number))).collect();
    assert!(received == sent, "{} of {}", received.len(), sent.len());
    session.flushed().await;
}
