//! The contract of `cluster::connects`. The limit of sessions and evictions are tested with `cluster::sessions`.

use jackfield_cluster::{
    bus::Channel,
    connects::{Connected, Granted},
    ids::Incarnation,
    inbox::{NotificationId, Posted},
    partition::PartitionSet,
    presence::{Ending, Scope, Stay},
    sessions::{OnConflict, Policy},
    wire::{BusMessage, UserEvent},
};

use crate::fixture::{Backend, Fixture, Node, contract, now_millis, session_ref};

const SINGLE: Policy = Policy { limit: 1, on_conflict: OnConflict::Evict };
const REJECT: Policy = Policy { limit: 1, on_conflict: OnConflict::Reject };
const ANY: Policy = Policy { limit: 0, on_conflict: OnConflict::Evict };

contract!(
    a_connect_makes_the_user_online_and_announces_it_once,
    evictions_are_sent_before_the_arrival,
    a_return_within_the_grace_is_not_announced,
    a_refused_connect_changes_nothing,
    a_connect_returns_the_count_and_later_changes_are_pushed,
    the_session_is_in_the_index,
    many_connects_at_once_are_all_answered,
);

async fn connect(node: &Node, by: &Incarnation, user: &str, session: &str, policy: Policy) -> Granted {
    match node.cluster.connects.connect(&session_ref(user, session), by, policy, &[], None).await.unwrap() {
        Connected::Granted(granted) => granted,
        Connected::Refused { holders } => panic!("refused, held by {holders:?}"),
    }
}

async fn a_connect_makes_the_user_online_and_announces_it_once(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 2);
    fixture.nodes[1].subscribe(&[Channel::Presence]).await;
    let [a, b] = &mut fixture.nodes[..] else { unreachable!() };
    let by = a.register().await;
    let before = i64::try_from(now_millis()).unwrap();
    let first = connect(a, &by, "u v", "s1", ANY).await;
    let at = first.arrived.expect("the first session");
    assert!((before - 1_000..before + 60_000).contains(&at), "{at}");
    assert_eq!(connect(a, &by, "u v", "s2", ANY).await.arrived, None);
    assert_eq!(b.received().await, [BusMessage::Arrived { at, session: "s1".into(), about: "u v".into() }]);
    assert_eq!(b.cluster.presence.online(&["u v".into(), "x".into()]).await.unwrap(), [true, false]);
    // The user stays online until both sessions are gone.
    for (session, online) in [("s1", true), ("s2", false)] {
        let stay = Stay::online(&session_ref("u v", session));
        a.cluster.presence.leave(&[stay], &by, Ending::Left).await.unwrap();
        assert_eq!(b.cluster.presence.online(&["u v".into()]).await.unwrap(), [online]);
    }
}

async fn evictions_are_sent_before_the_arrival(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 1);
    let node = &mut fixture.nodes[0];
    node.subscribe(&[Channel::Node(node.id.clone()), Channel::Presence]).await;
    let by = node.register().await;
    connect(node, &by, "u", "s1", SINGLE).await;
    // The session is evicted although its user is not online any more.
    node.cluster.presence.leave(&[Stay::online(&session_ref("u", "s1"))], &by, Ending::Left).await.unwrap();
    node.received().await;
    let granted = connect(node, &by, "u", "s2", SINGLE).await;
    let arrived = BusMessage::Arrived { at: granted.arrived.unwrap(), session: "s2".into(), about: "u".into() };
    assert_eq!(node.received().await, [BusMessage::Evicted("s1".into()), arrived]);
}

async fn a_return_within_the_grace_is_not_announced(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 1);
    let node = &mut fixture.nodes[0];
    let by = node.register().await;
    connect(node, &by, "u", "s1", ANY).await;
    node.cluster.presence.leave(&[Stay::online(&session_ref("u", "s1"))], &by, Ending::Gone).await.unwrap();
    node.subscribe(&[Channel::Presence]).await;
    assert_eq!(connect(node, &by, "u", "s2", ANY).await.arrived, None);
    // The return ended the grace: nothing is announced when it would have been over.
    let over = tokio::time::Instant::now() + crate::fixture::TERMS.grace * 2;
    while tokio::time::Instant::now() < over {
        node.cluster.presence.settle().await.unwrap();
        tokio::time::sleep(crate::fixture::TERMS.grace / 4).await;
    }
    assert_eq!(node.received().await, []);
    assert_eq!(node.cluster.presence.online(&["u".into()]).await.unwrap(), [true]);
}

async fn a_refused_connect_changes_nothing(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 2);
    fixture.nodes[1].subscribe(&[Channel::Presence]).await;
    let [a, b] = &mut fixture.nodes[..] else { unreachable!() };
    let (by_a, by_b) = (a.register().await, b.register().await);
    connect(a, &by_a, "u", "s1", REJECT).await;
    a.cluster.presence.leave(&[Stay::online(&session_ref("u", "s1"))], &by_a, Ending::Left).await.unwrap();
    b.received().await;
    let session = session_ref("u", "s2");
    let refused = b.cluster.connects.connect(&session, &by_b, REJECT, &[], None).await.unwrap();
    assert_eq!(refused, Connected::Refused { holders: vec![by_a.clone()] });
    assert_eq!(b.received().await, []);
    assert_eq!(b.cluster.presence.online(&["u".into()]).await.unwrap(), [false]);
    let live = b.cluster.sessions.of(&["u".into()]).await.unwrap();
    assert_eq!(live[0].iter().map(|live| live.session.as_str()).collect::<Vec<_>>(), ["s1"]);
    // A dead holder does not count.
    let granted = b.cluster.connects.connect(&session, &by_b, REJECT, std::slice::from_ref(&by_a), None).await.unwrap();
    assert!(matches!(granted, Connected::Granted(Granted { arrived: Some(_), .. })), "{granted:?}");
}

async fn a_connect_returns_the_count_and_later_changes_are_pushed(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 1);
    let node = &mut fixture.nodes[0];
    node.subscribe(&[Channel::Node(node.id.clone())]).await;
    let by = node.register().await;
    assert_eq!(connect(node, &by, "other", "s0", ANY).await.unread, 0);
    let post = || Posted { id: NotificationId::new(), body: "{}".into(), at: "2026-01-01T00:00:00.000Z".into() };
    for _ in 0..3 {
        node.cluster.inbox.add(&"u".into(), &post()).await.unwrap();
    }
    assert_eq!(connect(node, &by, "u", "s1", ANY).await.unread, 3);
    assert_eq!(node.received().await, [], "the count is in the answer");
    node.cluster.inbox.add(&"u".into(), &post()).await.unwrap();
    let pushed = node.received().await;
    let [BusMessage::ForUser { event: UserEvent::Inbox { unread: 4, .. }, .. }] = &pushed[..] else {
        panic!("{pushed:?}")
    };
}

async fn the_session_is_in_the_index(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let node = &fixture.nodes[0];
    let by = node.register().await;
    connect(node, &by, "u v", "s1", ANY).await;
    let refused = node.cluster.connects.connect(&session_ref("u v", "s2"), &by, REJECT, &[], None).await.unwrap();
    assert!(matches!(refused, Connected::Refused { .. }));
    let indexed = node.cluster.membership.indexed(&by, PartitionSet::ALL, 10).await.unwrap();
    let stay = |session: &str| Stay { scope: Scope::Cluster, user: "u v".into(), session: session.into() };
    assert!(indexed.contains(&stay("s1")), "{indexed:?}");
    // A refused one may be indexed, and is released with the node.
    assert!(indexed.iter().all(|one| [stay("s1"), stay("s2")].contains(one)), "{indexed:?}");
}

async fn many_connects_at_once_are_all_answered(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 2);
    let [a, b] = &fixture.nodes[..] else { unreachable!() };
    let (by_a, by_b) = (a.register().await, b.register().await);
    // Each user connects twice at the same time, with two incarnations of one node in between.
    let connects = (0..500).map(|n| {
        let (node, by) = if n % 3 == 0 { (b, &by_b) } else { (a, if n % 3 == 1 { &by_a } else { &by_b }) };
        let session = session_ref(&format!("u{}", n % 250), &format!("s{n}"));
        async move { node.cluster.connects.connect(&session, by, SINGLE, &[], None).await }
    });
    let mut granted = Vec::new();
    for connected in futures_util::future::join_all(connects).await {
        let Ok(Connected::Granted(one)) = connected else { panic!("{connected:?}") };
        granted.push(one);
    }
    let users: Vec<_> = (0..250).map(|n| format!("u{n}").into()).collect();
    for (n, live) in a.cluster.sessions.of(&users).await.unwrap().into_iter().enumerate() {
        let [live] = &live[..] else { panic!("{live:?}") };
        assert_eq!(live.generation, granted[n].generation.max(granted[n + 250].generation));
        let first = [granted[n].arrived, granted[n + 250].arrived];
        assert_eq!(first.iter().flatten().count(), 1, "announced once: {first:?}");
    }
    let indexed = a.cluster.membership.indexed(&by_a, PartitionSet::ALL, 1_000).await.unwrap().len();
    assert_eq!(indexed + a.cluster.membership.indexed(&by_b, PartitionSet::ALL, 1_000).await.unwrap().len(), 500);
}
