//! The contract of `cluster::presence`.

use std::{sync::Arc, time::Instant};

use jackfield_gateway::cluster::{bus::Channel, ids::Holding, notice::Notice, presence::Saying};

use crate::fixture::{Backend, Fixture, Node, TERMS, contract, holding, until};

contract!(
    the_first_session_is_announced_and_the_second_is_not,
    the_last_one_gone_is_announced_once_after_the_grace,
    a_return_within_the_grace_is_silent,
    what_is_said_quietly_is_not_announced,
    a_session_taken_over_is_not_ended_by_the_old_incarnation,
    leaving_twice_is_leaving_once,
    many_at_once,
);

async fn enter(node: &Node, holdings: &[Holding], by: &str) {
    node.cluster.presence.enter(holdings, &by.into(), Saying::Aloud).await.unwrap();
}

async fn leave(node: &Node, holdings: &[Holding], by: &str) {
    node.cluster.presence.leave(holdings, &by.into()).await.unwrap();
}

async fn online(node: &Node, users: &[&str]) -> Vec<bool> {
    let users: Vec<Arc<str>> = users.iter().map(|user| Arc::from(*user)).collect();
    node.cluster.presence.online(&users).await.unwrap()
}

/// (user, online) of everything announced so far.
async fn announced(node: &mut Node) -> Vec<(String, bool)> {
    let notices = node.heard_so_far().await.into_iter();
    let changes = notices.filter_map(|notice| match notice {
        Notice::Presence { online, user, .. } => Some((user.to_string(), online)),
        _ => None,
    });
    changes.collect()
}

async fn what_is_said_quietly_is_not_announced(backend: Backend) {
    let mut fixture = with_listener(backend).await;
    let by = "n1".into();
    fixture.nodes[1].cluster.presence.enter(&[holding("u", "s")], &by, Saying::Quietly).await.unwrap();
    assert_eq!(online(&fixture.nodes[0], &["u"]).await, [true]);
    enter(&fixture.nodes[1], &[holding("u", "t")], "n1").await;
    assert_eq!(announced(&mut fixture.nodes[0]).await, []);
    leave(&fixture.nodes[1], &[holding("u", "s"), holding("u", "t")], "n1").await;
    settled(&fixture, "u").await;
    assert_eq!(announced(&mut fixture.nodes[0]).await, [("u".to_owned(), false)]);
}

/// Settles on every node, as they all do, until the user is offline.
async fn settled(fixture: &Fixture, user: &str) {
    until("settled", || async {
        for node in &fixture.nodes {
            node.cluster.presence.settle().await.unwrap();
        }
        (online(&fixture.nodes[0], &[user]).await == [false]).then_some(())
    })
    .await;
}

async fn with_listener(backend: Backend) -> Fixture {
    let fixture = Fixture::with_nodes(backend, 2);
    fixture.nodes[0].subscribe(&[Channel::Presence]).await;
    fixture
}

async fn the_first_session_is_announced_and_the_second_is_not(backend: Backend) {
    let mut fixture = with_listener(backend).await;
    assert_eq!(online(&fixture.nodes[0], &["u", "v"]).await, [false, false]);
    enter(&fixture.nodes[0], &[holding("u", "s1")], "n0").await;
    enter(&fixture.nodes[1], &[holding("u", "s2")], "n1").await;
    enter(&fixture.nodes[1], &[holding("u", "s2")], "n1").await;
    assert_eq!(online(&fixture.nodes[0], &["u", "v"]).await, [true, false]);
    assert_eq!(announced(&mut fixture.nodes[0]).await, [("u".into(), true)]);
}

async fn the_last_one_gone_is_announced_once_after_the_grace(backend: Backend) {
    let mut fixture = with_listener(backend).await;
    enter(&fixture.nodes[0], &[holding("u", "s1")], "n0").await;
    enter(&fixture.nodes[1], &[holding("u", "s2")], "n1").await;
    leave(&fixture.nodes[0], &[holding("u", "s1")], "n0").await;
    fixture.nodes[0].cluster.presence.settle().await.unwrap();
    assert_eq!(announced(&mut fixture.nodes[0]).await, [("u".into(), true)]);
    let left = Instant::now();
    leave(&fixture.nodes[1], &[holding("u", "s2")], "n1").await;
    settled(&fixture, "u").await;
    assert!(left.elapsed() >= TERMS.grace);
    for node in &fixture.nodes {
        node.cluster.presence.settle().await.unwrap();
    }
    assert_eq!(announced(&mut fixture.nodes[0]).await, [("u".into(), false)]);
    enter(&fixture.nodes[0], &[holding("u", "s3")], "n0").await;
    assert_eq!(announced(&mut fixture.nodes[0]).await, [("u".into(), true)]);
}

async fn a_return_within_the_grace_is_silent(backend: Backend) {
    let mut fixture = with_listener(backend).await;
    enter(&fixture.nodes[0], &[holding("u", "s1"), holding("gone", "g1")], "n0").await;
    leave(&fixture.nodes[0], &[holding("u", "s1"), holding("gone", "g1")], "n0").await;
    assert_eq!(online(&fixture.nodes[0], &["u"]).await, [true], "within the grace");
    enter(&fixture.nodes[1], &[holding("u", "s2")], "n1").await;
    // The other user's grace began no earlier, and is over: so would this user's be.
    settled(&fixture, "gone").await;
    assert_eq!(online(&fixture.nodes[0], &["u"]).await, [true]);
    let heard = announced(&mut fixture.nodes[0]).await;
    assert_eq!(heard, [("u".into(), true), ("gone".into(), true), ("gone".into(), false)]);
    // And a second absence has a grace of its own.
    leave(&fixture.nodes[1], &[holding("u", "s2")], "n1").await;
    settled(&fixture, "u").await;
    assert_eq!(announced(&mut fixture.nodes[0]).await, [("u".into(), false)]);
}

async fn a_session_taken_over_is_not_ended_by_the_old_incarnation(backend: Backend) {
    let fixture = with_listener(backend).await;
    enter(&fixture.nodes[0], &[holding("u", "s1"), holding("gone", "g1")], "n0:1").await;
    enter(&fixture.nodes[0], &[holding("u", "s1")], "n0:2").await;
    leave(&fixture.nodes[1], &[holding("u", "s1"), holding("gone", "g1")], "n0:1").await;
    settled(&fixture, "gone").await;
    assert_eq!(online(&fixture.nodes[0], &["u"]).await, [true]);
}

async fn leaving_twice_is_leaving_once(backend: Backend) {
    let mut fixture = with_listener(backend).await;
    enter(&fixture.nodes[0], &[holding("u", "s1")], "n0").await;
    leave(&fixture.nodes[0], &[holding("u", "s1")], "n0").await;
    leave(&fixture.nodes[1], &[holding("u", "s1")], "n0").await;
    settled(&fixture, "u").await;
    leave(&fixture.nodes[1], &[holding("u", "s1")], "n0").await;
    settled(&fixture, "u").await;
    assert_eq!(announced(&mut fixture.nodes[0]).await, [("u".into(), true), ("u".into(), false)]);
}

async fn many_at_once(backend: Backend) {
    let mut fixture = with_listener(backend).await;
    let many: Vec<Holding> = (0..700).map(|n| holding(&format!("u{n}"), &format!("s{n}"))).collect();
    enter(&fixture.nodes[0], &many, "n0").await;
    leave(&fixture.nodes[0], &many, "n0").await;
    for n in [0, 350, 699] {
        settled(&fixture, &format!("u{n}")).await;
    }
    until("all settled", || async {
        fixture.nodes[1].cluster.presence.settle().await.unwrap();
        let users: Vec<String> = (0..700).map(|n| format!("u{n}")).collect();
        let users: Vec<&str> = users.iter().map(String::as_str).collect();
        (!online(&fixture.nodes[0], &users).await.contains(&true)).then_some(())
    })
    .await;
    let heard = announced(&mut fixture.nodes[0]).await;
    assert_eq!((heard.len(), heard.iter().filter(|(_, online)| *online).count()), (1_400, 700));
}
