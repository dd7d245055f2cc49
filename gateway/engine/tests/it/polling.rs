//! Messages over polling.

use jackfield_engine::{CloseReason, EngineKind, EngineLimits};

use crate::{
    differences::Difference,
    harness::{Call, SEPARATOR, Server, event, for_each_engine, limits, numbered, packet},
};

for_each_engine!(
    messages_arrive_both_ways,
    a_poll_waits_for_a_frame,
    all_waiting_frames_are_in_one_answer,
    packets_of_a_payload_are_received_in_order,
    a_queue_keeps_its_order_over_many_polls,
    a_frame_above_the_limit_of_a_message_is_sent,
    closing_answers_a_hanging_poll,
    closing_sends_what_a_hanging_poll_can_take,
    aborting_answers_a_hanging_poll,
    a_close_packet_ends_the_connection,
    nothing_after_a_close_packet_is_received,
    the_end_releases_the_session,
    answers_have_the_headers_of_the_protocol,
);

async fn messages_arrive_both_ways(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    client.send("42[\"ä€𝄞\"]").await;
    assert_eq!(session.event().await, "[\"ä€𝄞\"]");
    session.outbox.send(&event("answer", "ä€𝄞")).unwrap();
    assert_eq!(client.poll().await.ok(), packet(&event("answer", "ä€𝄞")));
}

async fn a_poll_waits_for_a_frame(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    for number in 0..20 {
        let poll = client.hanging_poll().await;
        session.outbox.send(&numbered(number).0).unwrap();
        assert_eq!(poll.answer().await.ok(), numbered(number).1);
    }
}

async fn all_waiting_frames_are_in_one_answer(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    for number in 0..20 {
        session.outbox.send(&numbered(number).0).unwrap();
    }
    let expected: Vec<_> = (0..20).map(|number| numbered(number).1).collect();
    assert_eq!(client.poll().await.ok(), expected.join(SEPARATOR));
    session.flushed().await;
}

async fn packets_of_a_payload_are_received_in_order(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    session.outbox.admitted();
    for payload in 0..5 {
        let packets: Vec<_> = (0..100).map(|number| numbered(payload * 100 + number).1).collect();
        client.send(&packets.join(SEPARATOR)).await;
    }
    for number in 0..500 {
        assert_eq!(session.event().await, format!("[\"n\",{number}]"));
    }
}

async fn a_queue_keeps_its_order_over_many_polls(kind: EngineKind) {
    let server = Server::start(kind, EngineLimits { max_message: 5_000, ..limits() }).await;
    let (client, session) = server.connected_polling().await;
    let outbox = session.outbox.clone();
    let sending = tokio::task::spawn_blocking(move || {
        for number in 0..2_000 {
            outbox.send(&numbered(number).0).unwrap();
            std::thread::yield_now();
        }
    });
    let mut received = Vec::new();
    while received.len() < 2_000 {
        received.extend(client.poll().await.ok().split(SEPARATOR).map(str::to_owned));
    }
    let expected: Vec<_> = (0..2_000).map(|number| numbered(number).1).collect();
    assert_eq!(received, expected);
    sending.await.unwrap();
}

async fn a_frame_above_the_limit_of_a_message_is_sent(kind: EngineKind) {
    let server = Server::start(kind, EngineLimits { max_message: 1_000, ..limits() }).await;
    let (client, session) = server.connected_polling().await;
    let long = event("long", &"x".repeat(200_000));
    for frame in [&numbered(1).0, &long, &numbered(2).0] {
        session.outbox.send(frame).unwrap();
    }
    let mut received = Vec::new();
    while received.len() < 3 {
        received.extend(client.poll().await.ok().split(SEPARATOR).map(str::to_owned));
    }
    assert_eq!(received, [numbered(1).1, packet(&long), numbered(2).1]);
}

async fn closing_answers_a_hanging_poll(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    let poll = client.hanging_poll().await;
    session.outbox.close(CloseReason::Draining);
    assert_eq!(poll.answer().await.ok(), "1");
    assert_eq!(session.next().await, Call::Closed(CloseReason::Draining));
    client.is_over().await;
}

async fn closing_sends_what_a_hanging_poll_can_take(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    let poll = client.hanging_poll().await;
    session.outbox.send(&numbered(1).0).unwrap();
    session.outbox.close(CloseReason::Draining);
    let answer = poll.answer().await.ok();
    if server.differs(Difference::CloseWithTheLastFrames) {
        assert!(answer == numbered(1).1 || answer == numbered(1).1 + SEPARATOR + "1", "{answer}");
    } else {
        assert_eq!(answer, numbered(1).1);
        assert_eq!(client.poll().await.ok(), "1");
    }
    assert_eq!(session.next().await, Call::Closed(CloseReason::Draining));
    client.is_over().await;
}

async fn aborting_answers_a_hanging_poll(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    let poll = client.hanging_poll().await;
    session.outbox.abort(CloseReason::TooSlow);
    assert_eq!(session.next().await, Call::Closed(CloseReason::TooSlow));
    // Answered or cut, but over.
    poll.ended().await;
    client.is_over().await;
}

async fn a_close_packet_ends_the_connection(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    let poll = client.hanging_poll().await;
    client.send("1").await;
    assert_eq!(poll.answer().await.ok(), "6");
    assert_eq!(session.next().await, Call::Closed(CloseReason::ClientClosed));
    client.is_over().await;
    // Without a poll.
    let (client, session) = server.connected_polling().await;
    client.send("1").await;
    assert_eq!(session.next().await, Call::Closed(CloseReason::ClientClosed));
    client.is_over().await;
}

async fn nothing_after_a_close_packet_is_received(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    client.send(&["42[\"before\"]", "1", "42[\"after\"]"].join(SEPARATOR)).await;
    assert_eq!(session.event().await, "[\"before\"]");
    assert_eq!(session.next().await, Call::Closed(CloseReason::ClientClosed));
    client.is_over().await;
}

async fn the_end_releases_the_session(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    for way in 0..4 {
        let (client, session) = server.connected_polling().await;
        match way {
            0 => client.send("1").await,
            1 => drop(client.post("nonsense").await),
            2 => session.outbox.close(CloseReason::Idle),
            _ => session.outbox.abort(CloseReason::Idle),
        }
        session.closed().await;
        session.is_released().await;
        client.is_over().await;
    }
}

async fn answers_have_the_headers_of_the_protocol(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    session.outbox.send(&numbered(1).0).unwrap();
    let answer = client.poll().await;
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=UTF-8"));
    let no_store = (!server.differs(Difference::NoCacheControl)).then_some("no-store");
    assert_eq!(answer.header("cache-control"), no_store);
    let answer = client.post("3").await;
    assert_eq!(answer.header("cache-control"), no_store);
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/")));
    assert_eq!(answer.ok(), "ok");
}
