//! The contract of `cluster::user_log`.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bytes::Bytes;
use jackfield_cluster::{
    Terms,
    bus::Channel,
    connects::{Connected, Granted},
    ids::{SessionId, SocketId},
    inbox::{NotificationId, Posted},
    log::Position,
    partition::Partition,
    sessions::{HeldSession, OnConflict, Policy, Restored},
    wire::{BusMessage, InboxChange, Target, UserEvent},
};

use crate::fixture::{Backend, Fixture, Node, TERMS, contract, session_ref, until};

const MULTI: Policy = Policy { limit: 0, on_conflict: OnConflict::Evict };

contract!(
    an_event_is_sent_once_to_each_node_that_holds_a_session,
    an_event_for_many_users_is_in_each_log,
    an_event_with_a_key_is_sent_once_to_each_user,
    events_and_changes_of_the_inbox_are_numbered_in_one_order,
    a_session_continues_from_its_claim,
    without_sessions_nothing_is_numbered,
    events_are_kept_for_some_time,
    concurrent_events_leave_no_hole,
    a_log_that_fell_back_begins_a_new_epoch,
);

fn user(name: &str) -> Arc<str> {
    name.into()
}

fn event(text: &str) -> UserEvent {
    UserEvent::Event { except: vec![], content: Bytes::copy_from_slice(text.as_bytes()) }
}

async fn claim(node: &Node, name: &str, session: &str) -> Granted {
    let by = node.id.0.as_ref().into();
    match node.cluster.connects.connect(&session_ref(name, session), &by, MULTI, &[], None).await.unwrap() {
        Connected::Granted(granted) => granted,
        Connected::Refused { holders } => panic!("refused, held by {holders:?}"),
    }
}

async fn fixture(backend: Backend, nodes: usize) -> Fixture {
    let fixture = Fixture::with_nodes(backend, nodes);
    for node in &fixture.nodes {
        node.subscribe(&[Channel::Node(node.id.clone())]).await;
    }
    fixture
}

/// The events that a node received, in order.
async fn received(node: &mut Node) -> Vec<(BTreeSet<SessionId>, Position, UserEvent)> {
    let events = node.received().await.into_iter().map(|message| match message {
        BusMessage::ForUser { sessions, position, event } => (sessions.into_iter().collect(), position, event),
        other => panic!("{other:?}"),
    });
    events.collect()
}

fn set<const N: usize>(sessions: [&str; N]) -> BTreeSet<SessionId> {
    sessions.into_iter().map(SessionId::from).collect()
}

async fn an_event_is_sent_once_to_each_node_that_holds_a_session(backend: Backend) {
    let mut fixture = fixture(backend, 3).await;
    let [a, b, c] = &mut fixture.nodes[..] else { unreachable!() };
    for (node, session) in [(&*a, "s1"), (&*a, "s2"), (&*b, "s3")] {
        claim(node, "u v", session).await;
    }
    let odd = UserEvent::Event {
        except: vec![Target::Socket(SocketId::random())],
        content: Bytes::from_static(b"\xff\x00 \n"),
    };
    for (number, sent) in (1..).zip([event(r#""new","x \n y""#), odd]) {
        let counts = c.cluster.user_log.send(&[user("nobody"), user("u v")], &sent).await.unwrap();
        assert_eq!(counts, [0, 3]);
        let (of_a, of_b) = (received(a).await, received(b).await);
        let [(sessions, position, _)] = &of_a[..] else { panic!("{of_a:?}") };
        assert_eq!((sessions, position.number), (&set(["s1", "s2"]), number));
        assert_eq!(of_a[0].2, sent);
        assert_eq!(of_b, [(set(["s3"]), *position, sent)]);
        assert_eq!(received(c).await, []);
    }
}

async fn an_event_for_many_users_is_in_each_log(backend: Backend) {
    let mut fixture = fixture(backend, 2).await;
    let [a, b] = &mut fixture.nodes[..] else { unreachable!() };
    for n in 0..20 {
        claim(if n % 2 == 0 { &*a } else { &*b }, &format!("u{n}"), &format!("s{n}")).await;
    }
    let users: Vec<_> = (0..600).map(|n| user(&format!("u{n}"))).collect();
    let counts = a.cluster.user_log.send(&users, &event("\"x\",1")).await.unwrap();
    assert_eq!(counts, [[1; 20].as_slice(), &[0; 580]].concat());
    for node in [a, b] {
        let of_node = received(node).await;
        assert_eq!(of_node.len(), 10);
        assert!(of_node.iter().all(|(sessions, position, _)| sessions.len() == 1 && position.number == 1));
    }
}

async fn events_and_changes_of_the_inbox_are_numbered_in_one_order(backend: Backend) {
    let mut fixture = fixture(backend, 2).await;
    let [a, b] = &mut fixture.nodes[..] else { unreachable!() };
    let begin = claim(a, "u", "s").await.end;
    let posted = Posted { id: NotificationId::new(), body: "{}".into(), at: "2026-01-01T00:00:00.000Z".into() };
    b.cluster.user_log.send(&[user("u")], &event("\"one\",1")).await.unwrap();
    b.cluster.inbox.add(&user("u"), &posted).await.unwrap();
    b.cluster.inbox.mark_read(&user("u"), None).await.unwrap();
    b.cluster.user_log.send(&[user("u")], &event("\"four\",4")).await.unwrap();
    let sent = received(a).await;
    assert_eq!(sent.iter().map(|(_, position, _)| position.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(matches!(&sent[1].2, UserEvent::Inbox { change: InboxChange::New(_), unread: 1, .. }));
    assert!(matches!(&sent[2].2, UserEvent::Inbox { change: InboxChange::Read(None), unread: 0, .. }));
    // A node that missed some reads the same.
    let page = b.cluster.user_log.read(&user("u"), begin).await.unwrap();
    assert_eq!((page.end, page.base, begin), (sent[3].1, 0, page.empty));
    let read: Vec<_> = page.messages.into_iter().map(|stored| (stored.position.number, stored.body.unwrap())).collect();
    let all: Vec<_> = sent.into_iter().map(|(_, position, event)| (position.number, event)).collect();
    assert_eq!(read, all);
    let end = page.end;
    let some = b.cluster.user_log.read(&user("u"), Position { number: 2, ..end }).await.unwrap();
    assert_eq!(some.messages.iter().map(|stored| stored.position.number).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(b.cluster.user_log.read(&user("u"), end).await.unwrap().messages, []);
}

async fn a_session_continues_from_its_claim(backend: Backend) {
    let mut fixture = fixture(backend, 2).await;
    let [a, b] = &mut fixture.nodes[..] else { unreachable!() };
    claim(a, "u", "s1").await;
    for _ in 0..3 {
        a.cluster.user_log.send(&[user("u")], &event("\"x\",1")).await.unwrap();
    }
    let granted = claim(b, "u", "s2").await;
    assert_eq!(granted.end.number, 3);
    let seen = granted.end;
    let held = HeldSession { session: session_ref("u", "s2"), generation: granted.generation, seen, record: None };
    let restored = b.cluster.sessions.restore(std::slice::from_ref(&held), &"n1".into(), MULTI).await.unwrap();
    assert_eq!(restored, [Restored::Kept { end: seen }]);
    a.cluster.user_log.send(&[user("u")], &event("\"x\",1")).await.unwrap();
    let next = Position { number: 4, ..seen };
    assert_eq!(received(b).await, [(set(["s2"]), next, event("\"x\",1"))]);
    let restored = b.cluster.sessions.restore(&[held], &"n1".into(), MULTI).await.unwrap();
    assert_eq!(restored, [Restored::Kept { end: next }]);
}

async fn without_sessions_nothing_is_numbered(backend: Backend) {
    let fixture = fixture(backend, 1).await;
    let node = &fixture.nodes[0];
    assert_eq!(node.cluster.user_log.send(&[user("u")], &event("\"x\",1")).await.unwrap(), [0]);
    let granted = claim(node, "u", "s").await;
    let page = node.cluster.user_log.read(&user("u"), granted.end).await.unwrap();
    assert_eq!((granted.end, page.end, page.messages), (page.empty, page.empty, vec![]));
}

async fn events_are_kept_for_some_time(backend: Backend) {
    let fixture = Fixture::with_terms(backend, 1, Terms { user_events: Duration::from_millis(300), ..TERMS });
    let node = &fixture.nodes[0];
    let begin = claim(node, "u", "s").await.end;
    node.cluster.user_log.send(&[user("u")], &event("\"old\",1")).await.unwrap();
    until("it is too old", || async {
        let page = node.cluster.user_log.read(&user("u"), begin).await.unwrap();
        page.messages.is_empty().then_some(())
    })
    .await;
    node.cluster.user_log.send(&[user("u")], &event("\"new\",2")).await.unwrap();
    let page = node.cluster.user_log.read(&user("u"), begin).await.unwrap();
    let kept: Vec<_> = page.messages.iter().map(|stored| stored.position.number).collect();
    assert_eq!((page.end.number, kept), (2, vec![2]));
}

async fn concurrent_events_leave_no_hole(backend: Backend) {
    let mut fixture = fixture(backend, 2).await;
    let begin = claim(&fixture.nodes[0], "u", "s").await.end;
    let sending = (0..60).map(|n| {
        let cluster = fixture.nodes[n % 2].cluster.clone();
        tokio::spawn(async move {
            match n % 3 {
                0 => {
                    let posted = Posted { id: NotificationId::new(), body: "{}".into(), at: "2026-01-01".into() };
                    cluster.inbox.add(&user("u"), &posted).await.map(drop)
                }
                _ => cluster.user_log.send(&[user("u")], &event(&format!("\"x\",{n}"))).await.map(drop),
            }
        })
    });
    for sent in sending.collect::<Vec<_>>() {
        sent.await.unwrap().unwrap();
    }
    let live = received(&mut fixture.nodes[0]).await;
    let numbers: Vec<_> = live.iter().map(|(_, position, _)| position.number).collect();
    assert_eq!(numbers, (1..=60).collect::<Vec<_>>());
    let page = fixture.nodes[1].cluster.user_log.read(&user("u"), begin).await.unwrap();
    assert!(
        page.messages.iter().map(|stored| stored.body.clone().unwrap()).eq(live.into_iter().map(|(.., event)| event))
    );
}

async fn a_log_that_fell_back_begins_a_new_epoch(backend: Backend) {
    let fixture = fixture(backend, 1).await;
    let node = &fixture.nodes[0];
    let granted = claim(node, "u", "s").await;
    for _ in 0..2 {
        node.cluster.user_log.send(&[user("u")], &event("\"x\",1")).await.unwrap();
    }
    let end = node.cluster.user_log.read(&user("u"), granted.end).await.unwrap().end;
    // The session has seen more than the log has.
    let seen = Position { number: 5, ..end };
    let held = HeldSession { session: session_ref("u", "s"), generation: granted.generation, seen, record: None };
    let restored = node.cluster.sessions.restore(&[held], &"n0".into(), MULTI).await.unwrap();
    let [Restored::Kept { end: anew }] = restored[..] else { panic!("{restored:?}") };
    assert!(anew.epoch > seen.epoch && anew.number == 2, "{anew:?}");
    node.cluster.user_log.send(&[user("u")], &event("\"x\",3")).await.unwrap();
    let page = node.cluster.user_log.read(&user("u"), anew).await.unwrap();
    assert_eq!((page.end, page.base, page.messages.len()), (Position { number: 3, ..anew }, 2, 1));
    // A reader that has seen more notices it, too.
    let later = node.cluster.user_log.read(&user("u"), Position { number: 9, ..page.end }).await.unwrap();
    assert!(later.end.epoch > page.end.epoch);
}

/// Only Redis has terms. Another one stands for a failover or a restart.
#[tokio::test]
async fn in_a_new_term_a_user_s_events_have_a_new_epoch() {
    if crate::fixture::redis().is_none() {
        return;
    }
    let fixture = fixture(Backend::Redis, 1).await;
    let node = &fixture.nodes[0];
    let begin = claim(node, "u", "s").await.end;
    let send = async || {
        node.cluster.user_log.send(&[user("u")], &event("\"x\",1")).await.unwrap();
        node.cluster.user_log.read(&user("u"), begin).await.unwrap()
    };
    let first = send().await.end;
    fixture.begin_term(Partition::of("u"), "other").await;
    let page = send().await;
    assert!(page.end.epoch > first.epoch && page.end.number == 2);
    assert_eq!((page.number_of(first), page.number_of(Position { number: 2, ..first })), (Some(1), None));
}

async fn an_event_with_a_key_is_sent_once_to_each_user(backend: Backend) {
    let mut fixture = fixture(backend, 2).await;
    let [a, b] = &mut fixture.nodes[..] else { unreachable!() };
    for (name, session) in [("u", "s1"), ("v", "s2"), ("v", "s3"), ("u\n1", "s4")] {
        claim(a, name, session).await;
    }
    let many: Vec<_> = ["u", "v", "w"].map(user).into();
    for (log, users, counts) in [
        (&a.cluster.user_log, &many[..1], vec![1]),
        (&b.cluster.user_log, &many[..], vec![1, 2, 0]),
        (&a.cluster.user_log, &many[..], vec![1, 2, 0]),
        (&b.cluster.user_log, &many[1..], vec![2, 0]),
    ] {
        assert_eq!(log.send_once(users, &event("\"x\",1"), Some("a key: {x}")).await.unwrap(), counts);
    }
    let sent = received(a).await;
    let positions: Vec<_> = sent.iter().map(|(sessions, position, _)| (sessions.clone(), position.number)).collect();
    assert_eq!(positions, [(set(["s1"]), 1), (set(["s2", "s3"]), 1)]);
    // Another key, the same user; and a user whose id looks like another's with a key.
    assert_eq!(b.cluster.user_log.send_once(&many[..1], &event("\"x\",2"), Some("other")).await.unwrap(), [1]);
    assert_eq!(b.cluster.user_log.send_once(&[user("u\n1")], &event("\"x\",3"), Some("other")).await.unwrap(), [1]);
    assert_eq!(received(a).await.len(), 2);
}
