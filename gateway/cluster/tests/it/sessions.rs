//! The contract of `cluster::sessions`.

use std::{collections::BTreeSet, sync::Arc};

use jackfield_cluster::{
    bus::Channel,
    connects::{Connected, Granted},
    ids::SessionId,
    log::Position,
    sessions::{HeldSession, OnConflict, Policy, Restored},
    wire::BusMessage,
};

use crate::fixture::{Backend, Fixture, Node, contract, ended, session_ref};

const SINGLE: Policy = Policy { limit: 1, on_conflict: OnConflict::Evict };
const REJECT: Policy = Policy { limit: 1, on_conflict: OnConflict::Reject };
const TWO: Policy = Policy { limit: 2, on_conflict: OnConflict::Evict };
const MULTI: Policy = Policy { limit: 0, on_conflict: OnConflict::Evict };

contract!(
    the_newest_claim_evicts_the_older_session,
    generations_grow_even_after_all_sessions_ended,
    reject_refuses_the_new_session_and_names_the_holder,
    sessions_of_dead_nodes_do_not_count,
    a_limit_of_two_keeps_the_newest_two,
    multi_has_no_limit,
    concurrent_claims_leave_exactly_one_session,
    a_release_by_another_incarnation_does_nothing,
    a_restored_session_loses_to_a_newer_one,
    a_restored_session_beats_an_older_one,
    sessions_are_restored_after_all_data_was_lost,
    users_are_independent,
    an_end_is_sent_once_to_each_node_that_holds_a_session,
);

async fn claim(node: &Node, user: &str, session: &str, policy: Policy) -> u64 {
    let incarnation = node.id.0.as_ref().into();
    match node.cluster.connects.connect(&session_ref(user, session), &incarnation, policy, &[], None).await.unwrap() {
        Connected::Granted(Granted { generation, .. }) => generation,
        Connected::Refused { holders } => panic!("refused, held by {holders:?}"),
    }
}

async fn sessions(node: &Node, user: &str) -> Vec<String> {
    let sessions = node.cluster.sessions.of(&[user.into()]).await.unwrap();
    sessions[0].iter().map(|live| live.session.to_string()).collect()
}

fn held(user: &str, session: &str, generation: u64) -> HeldSession {
    HeldSession {
        session: session_ref(user, session),
        generation,
        seen: Position { epoch: 0, number: 0 },
        record: None,
    }
}

async fn restore(node: &Node, held: &[HeldSession], by: &str) -> Vec<Restored> {
    node.cluster.sessions.restore(held, &by.into(), SINGLE).await.unwrap()
}

async fn the_newest_claim_evicts_the_older_session(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 2);
    let [a, b] = &mut fixture.nodes[..] else { unreachable!() };
    a.subscribe(&[Channel::Node(a.id.clone())]).await;
    let first = claim(a, "u", "s1", SINGLE).await;
    let second = claim(b, "u", "s2", SINGLE).await;
    assert!(second > first);
    assert_eq!(a.next_message().await, BusMessage::Evicted("s1".into()));
    assert_eq!(sessions(a, "u").await, ["s2"]);
}

async fn generations_grow_even_after_all_sessions_ended(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let node = &fixture.nodes[0];
    let mut last = 0;
    for n in 0..20 {
        let session = format!("s{n}");
        let generation = claim(node, "u", &session, SINGLE).await;
        assert!(generation > last);
        last = generation;
        node.cluster.sessions.release(&[ended("u", &session)], &"n0".into()).await.unwrap();
        assert_eq!(sessions(node, "u").await, Vec::<String>::new());
    }
}

async fn reject_refuses_the_new_session_and_names_the_holder(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 2);
    let [a, b] = &fixture.nodes[..] else { unreachable!() };
    claim(a, "u", "s1", REJECT).await;
    let refused = b.cluster.connects.connect(&session_ref("u", "s2"), &"n1".into(), REJECT, &[], None).await.unwrap();
    assert_eq!(refused, Connected::Refused { holders: vec!["n0".into()] });
    assert_eq!(sessions(b, "u").await, ["s1"]);
}

async fn sessions_of_dead_nodes_do_not_count(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 2);
    let [a, b] = &fixture.nodes[..] else { unreachable!() };
    claim(a, "u", "s1", REJECT).await;
    let granted =
        b.cluster.connects.connect(&session_ref("u", "s2"), &"n1".into(), REJECT, &["n0".into()], None).await.unwrap();
    assert!(matches!(granted, Connected::Granted(_)));
    assert_eq!(sessions(b, "u").await, ["s2"]);
}

async fn a_limit_of_two_keeps_the_newest_two(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    for session in ["s1", "s2", "s3"] {
        claim(&fixture.nodes[0], "u", session, TWO).await;
    }
    assert_eq!(sessions(&fixture.nodes[0], "u").await, ["s2", "s3"]);
}

async fn multi_has_no_limit(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    for n in 0..30 {
        claim(&fixture.nodes[0], "u", &format!("s{n:02}"), MULTI).await;
    }
    assert_eq!(sessions(&fixture.nodes[0], "u").await.len(), 30);
}

async fn concurrent_claims_leave_exactly_one_session(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 2);
    for node in &fixture.nodes {
        node.subscribe(&[Channel::Node(node.id.clone())]).await;
    }
    let claims = (0..20).map(|n| {
        let (cluster, node) = (fixture.nodes[n % 2].cluster.clone(), format!("n{}", n % 2));
        tokio::spawn(async move {
            let session = session_ref("u", &format!("s{n}"));
            let claimed = cluster.connects.connect(&session, &node.as_str().into(), SINGLE, &[], None).await.unwrap();
            let Connected::Granted(Granted { generation, .. }) = claimed else { panic!("refused") };
            (generation, session.session)
        })
    });
    let mut granted = Vec::new();
    for claim in claims.collect::<Vec<_>>() {
        granted.push(claim.await.unwrap());
    }
    granted.sort();
    let newest = granted.last().unwrap().1.to_string();
    assert_eq!(sessions(&fixture.nodes[0], "u").await, std::slice::from_ref(&newest));
    let mut evicted = BTreeSet::new();
    for node in &mut fixture.nodes {
        for message in node.received().await {
            let BusMessage::Evicted(session) = message else { panic!("{message:?}") };
            assert!(evicted.insert(session.to_string()), "evicted twice");
        }
    }
    assert_eq!((evicted.len(), evicted.contains(&newest)), (19, false));
}

async fn a_release_by_another_incarnation_does_nothing(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let node = &fixture.nodes[0];
    claim(node, "u", "s1", SINGLE).await;
    node.cluster.sessions.release(&[ended("u", "s1")], &"other".into()).await.unwrap();
    assert_eq!(sessions(node, "u").await, ["s1"]);
    node.cluster.sessions.release(&[ended("u", "s1"), ended("nobody", "s9")], &"n0".into()).await.unwrap();
    assert_eq!(sessions(node, "u").await, Vec::<String>::new());
}

async fn a_restored_session_loses_to_a_newer_one(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 2);
    let [frozen, other] = &mut fixture.nodes[..] else { unreachable!() };
    other.subscribe(&[Channel::Node(other.id.clone())]).await;
    let generation = claim(frozen, "u", "s1", SINGLE).await;
    claim(other, "u", "s2", SINGLE).await;
    let restored = restore(frozen, &[held("u", "s1", generation)], "n0:2").await;
    assert_eq!(restored, [Restored::Evicted]);
    assert_eq!(sessions(frozen, "u").await, ["s2"]);
    assert_eq!(other.received().await, vec![], "the newer session's node receives nothing");
}

async fn a_restored_session_beats_an_older_one(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 2);
    let [a, b] = &mut fixture.nodes[..] else { unreachable!() };
    a.subscribe(&[Channel::Node(a.id.clone())]).await;
    let old = claim(a, "u", "s1", SINGLE).await;
    let new = claim(b, "u", "s2", SINGLE).await;
    assert_eq!(a.next_message().await, BusMessage::Evicted("s1".into()));
    // Both entries are gone, as after lost data, and the older session is restored first.
    b.cluster.sessions.release(&[ended("u", "s2")], &"n1".into()).await.unwrap();
    for (node, held, by) in [(&*a, held("u", "s1", old), "n0"), (&*b, held("u", "s2", new), "n1")] {
        assert!(matches!(restore(node, &[held], by).await[..], [Restored::Kept { .. }]));
    }
    assert_eq!(a.next_message().await, BusMessage::Evicted("s1".into()));
    assert_eq!(sessions(a, "u").await, ["s2"]);
}

async fn sessions_are_restored_after_all_data_was_lost(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let node = &fixture.nodes[0];
    let many: Vec<HeldSession> = (0..600).map(|n| held(&format!("u{n}"), &format!("s{n}"), n + 1)).collect();
    let restored = restore(node, &many, "n0:2").await;
    assert_eq!((restored.len(), restored.contains(&Restored::Evicted)), (600, false));
    assert_eq!(sessions(node, "u599").await, ["s599"]);
    assert!(claim(node, "u599", "later", SINGLE).await > 600);
    assert_eq!(sessions(node, "u599").await, ["later"]);
}

async fn users_are_independent(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let node = &fixture.nodes[0];
    for odd in ["a", "a}:sessions", "{a}", "a b", "ä", "a%20b"] {
        claim(node, odd, &format!("of {}", odd.len()), SINGLE).await;
    }
    for odd in ["a", "a}:sessions", "{a}", "a b", "ä", "a%20b"] {
        assert_eq!(sessions(node, odd).await, [format!("of {}", odd.len())]);
    }
}

async fn an_end_is_sent_once_to_each_node_that_holds_a_session(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 3);
    let [a, b, c] = &mut fixture.nodes[..] else { unreachable!() };
    for node in [&*a, &*b, &*c] {
        node.subscribe(&[Channel::Node(node.id.clone())]).await;
    }
    for (node, session) in [(&*a, "s1"), (&*a, "s2"), (&*b, "s3")] {
        claim(node, "u v", session, MULTI).await;
    }
    let reason = "why so".into();
    assert_eq!(b.cluster.sessions.end(&"nobody".into(), &reason).await.unwrap(), 0);
    assert_eq!(b.cluster.sessions.end(&"u v".into(), &reason).await.unwrap(), 3);
    let received = b.received().await;
    assert_eq!(received, [BusMessage::End { sessions: vec!["s3".into()], reason: Arc::clone(&reason) }]);
    let [BusMessage::End { sessions, .. }] = &a.received().await[..] else { panic!("one message") };
    assert_eq!(sessions.iter().map(SessionId::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(["s1", "s2"]));
    assert_eq!(c.received().await, []);
}
