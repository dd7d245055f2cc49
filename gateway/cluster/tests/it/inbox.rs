//! The contract of `cluster::inbox`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jackfield_cluster::{
    Cluster, Terms,
    bus::Channel,
    connects::Connected,
    ids::SessionId,
    inbox::{Added, Changed, Keep, NotificationId, Posted, Stored},
    sessions::{OnConflict, Policy},
    wire::{BusMessage, InboxChange, UserEvent},
};

use crate::fixture::{Backend, Fixture, Node, TERMS, contract, id_of, session_ref, until};

const MULTI: Policy = Policy { limit: 0, on_conflict: OnConflict::Evict };

contract!(
    notifications_are_listed_newest_first_and_counted,
    every_session_gets_the_change_with_the_count,
    the_count_follows_reads_and_deletions,
    the_same_id_is_stored_once_even_after_it_was_deleted,
    pages_continue_before_a_deleted_notification,
    notifications_are_limited_in_number_and_age,
    a_notification_for_many_users_is_in_each_inbox,
    one_session_gets_the_current_count,
);

fn user(name: &str) -> Arc<str> {
    name.into()
}

fn post(id: NotificationId) -> Posted {
    Posted { id, body: body(id), at: "2026-01-01T00:00:00.000Z".into() }
}

fn body(id: NotificationId) -> Arc<str> {
    format!("{{\"id\":\"{id}\",\"message\":\"m \\\" ä\"}}").into()
}

/// The id in a notification's body.
fn id_in(stored: &Stored) -> String {
    stored.body.split('"').nth(3).unwrap().to_owned()
}

/// Adds `count` notifications, oldest first.
async fn add(node: &Node, count: usize) -> Vec<NotificationId> {
    let ids: Vec<_> = (0..count).map(|_| NotificationId::new()).collect();
    for id in &ids {
        assert!(node.cluster.inbox.add(&user("u v"), &post(*id)).await.unwrap().new);
    }
    ids
}

/// Ids and read flags, newest first. Checks that the count agrees.
async fn listed(cluster: &Cluster, name: &str) -> Vec<(String, bool)> {
    let page = cluster.inbox.list(&user(name), None, 100).await.unwrap();
    assert_eq!(page.unread, page.notifications.iter().filter(|one| !one.read).count() as u64);
    page.notifications.iter().map(|one| (id_in(one), one.read)).collect()
}

async fn claim(node: &Node, name: &str, session: &str) {
    let claimed =
        node.cluster.connects.connect(&session_ref(name, session), &node.id.0.as_ref().into(), MULTI, &[], None).await;
    assert!(matches!(claimed, Ok(Connected::Granted(_))));
}

/// The pushes that a node received for its sessions: `(sessions, change, unread)`.
async fn pushes(node: &mut Node) -> Vec<(Vec<SessionId>, Option<InboxChange>, u64)> {
    let pushes = node.received().await.into_iter().map(|message| match message {
        BusMessage::ForUser { mut sessions, event: UserEvent::Inbox { change, unread, at }, .. } => {
            assert!(at.ends_with('Z'), "{at}");
            sessions.sort();
            (sessions, Some(change), unread)
        }
        BusMessage::Unread { sessions, unread, .. } => (sessions, None, unread),
        other => panic!("{other:?}"),
    });
    pushes.collect()
}

async fn notifications_are_listed_newest_first_and_counted(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 2);
    let [a, b] = &fixture.nodes[..] else { unreachable!() };
    assert_eq!(listed(&a.cluster, "u v").await, []);
    let ids = add(a, 3).await;
    let expected: Vec<_> = ids.iter().rev().map(|id| (id.to_string(), false)).collect();
    assert_eq!(listed(&b.cluster, "u v").await, expected);
    let posted = post(NotificationId::new());
    let added = b.cluster.inbox.add(&user("u v"), &posted).await.unwrap();
    assert_eq!(added, Added { new: true, unread: 4, delivered: 0 });
    let page = a.cluster.inbox.list(&user("u v"), None, 1).await.unwrap();
    let stored = Stored { body: posted.body, at: posted.at, read: false };
    assert_eq!((page.notifications, page.unread, page.more), (vec![stored], 4, true));
}

async fn every_session_gets_the_change_with_the_count(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 3);
    for node in &fixture.nodes {
        node.subscribe(&[Channel::Node(node.id.clone())]).await;
    }
    let [a, b, c] = &mut fixture.nodes[..] else { unreachable!() };
    for (node, session) in [(&*a, "s1"), (&*a, "s2"), (&*b, "s3")] {
        claim(node, "u v", session).await;
    }
    let posted = post(NotificationId::new());
    let added = c.cluster.inbox.add(&user("u v"), &posted).await.unwrap();
    assert_eq!(added, Added { new: true, unread: 1, delivered: 3 });
    assert_eq!(pushes(c).await, []);
    for (node, sessions) in [(a, vec!["s1".into(), "s2".into()]), (b, vec![SessionId::from("s3")])] {
        assert_eq!(pushes(node).await, [(sessions, Some(InboxChange::New(Arc::clone(&posted.body))), 1)]);
    }
}

async fn the_count_follows_reads_and_deletions(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 1);
    let node = &mut fixture.nodes[0];
    node.subscribe(&[Channel::Node(node.id.clone())]).await;
    let ids = add(node, 4).await;
    claim(node, "u v", "s").await;
    let (inbox, who) = (node.cluster.inbox.clone(), user("u v"));
    let unknown = NotificationId::new();
    let found = |unread| Changed { found: true, unread };
    let not_found = |unread| Changed { found: false, unread };
    assert_eq!(inbox.mark_read(&who, Some(ids[0])).await.unwrap(), found(3));
    assert_eq!(inbox.mark_read(&who, Some(ids[0])).await.unwrap(), found(3));
    assert_eq!(inbox.mark_read(&who, Some(unknown)).await.unwrap(), not_found(3));
    assert_eq!(inbox.delete(&who, ids[0]).await.unwrap(), found(3));
    assert_eq!(inbox.delete(&who, ids[0]).await.unwrap(), not_found(3));
    assert_eq!(inbox.delete(&who, ids[1]).await.unwrap(), found(2));
    assert_eq!(inbox.mark_read(&who, None).await.unwrap(), found(0));
    assert_eq!(inbox.delete(&who, ids[2]).await.unwrap(), found(0));
    assert_eq!(listed(&node.cluster, "u v").await, [(ids[3].to_string(), true)]);
    let (read, deleted) = (InboxChange::Read, InboxChange::Deleted);
    let expected = [
        (read(Some(ids[0])), 3),
        (read(Some(ids[0])), 3),
        (deleted(ids[0]), 3),
        (deleted(ids[1]), 2),
        (read(None), 0),
        (deleted(ids[2]), 0),
    ];
    let changes: Vec<_> = pushes(node).await.into_iter().map(|(_, change, unread)| (change.unwrap(), unread)).collect();
    assert_eq!(changes, expected);
}

async fn the_same_id_is_stored_once_even_after_it_was_deleted(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 2);
    fixture.nodes[0].subscribe(&[Channel::Node(fixture.nodes[0].id.clone())]).await;
    let [a, b] = &mut fixture.nodes[..] else { unreachable!() };
    claim(a, "u v", "s").await;
    let ids = add(a, 2).await;
    a.cluster.inbox.mark_read(&user("u v"), Some(ids[0])).await.unwrap();
    assert_eq!(pushes(a).await.len(), 3);
    let again = Added { new: false, unread: 1, delivered: 0 };
    assert_eq!(b.cluster.inbox.add(&user("u v"), &post(ids[0])).await.unwrap(), again);
    b.cluster.inbox.delete(&user("u v"), ids[0]).await.unwrap();
    assert_eq!(b.cluster.inbox.add(&user("u v"), &post(ids[0])).await.unwrap(), again);
    assert_eq!(pushes(a).await.len(), 1);
    assert_eq!(listed(&b.cluster, "u v").await, [(ids[1].to_string(), false)]);
}

async fn pages_continue_before_a_deleted_notification(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let node = &fixture.nodes[0];
    let ids = add(node, 25).await;
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = node.cluster.inbox.list(&user("u v"), before, 10).await.unwrap();
        assert_eq!(page.more, seen.len() + page.notifications.len() < 25);
        seen.extend(page.notifications.iter().map(|one| NotificationId::parse(&id_in(one)).unwrap()));
        before = seen.last().copied();
        node.cluster.inbox.delete(&user("u v"), *seen.last().unwrap()).await.unwrap();
        if !page.more {
            break;
        }
    }
    assert!(seen.iter().eq(ids.iter().rev()));
    let none = node.cluster.inbox.list(&user("u v"), Some(ids[0]), 10).await.unwrap();
    assert_eq!((none.notifications.len(), none.unread, none.more), (0, 22, false));
}

async fn notifications_are_limited_in_number_and_age(backend: Backend) {
    let terms = Terms { notifications: Keep { max: 3, age: Duration::from_hours(1) }, ..TERMS };
    let mut fixture = Fixture::with_terms(backend, 1, terms);
    let node = &mut fixture.nodes[0];
    node.subscribe(&[Channel::Node(node.id.clone())]).await;
    claim(node, "u v", "s").await;
    let (inbox, who) = (node.cluster.inbox.clone(), user("u v"));
    let too_old = post(id_of(Duration::from_mins(61)));
    assert_eq!(inbox.add(&who, &too_old).await.unwrap(), Added { new: false, unread: 0, delivered: 0 });
    let expiring = post(id_of(Duration::from_millis(59 * 60_000 + 57_000)));
    assert_eq!(inbox.add(&who, &expiring).await.unwrap(), Added { new: true, unread: 1, delivered: 1 });
    let ids = add(node, 1).await;
    assert_eq!(pushes(node).await.last().unwrap().2, 2);
    // The next read drops it, and every session gets the count.
    let cluster = node.cluster.clone();
    until("it is too old", || async { (listed(&cluster, "u v").await.len() == 1).then_some(()) }).await;
    assert_eq!(pushes(node).await, [(vec!["s".into()], None, 1)]);
    let more = add(node, 3).await;
    let kept: Vec<_> = more.iter().rev().map(|id| (id.to_string(), false)).collect();
    assert_eq!(listed(&node.cluster, "u v").await, kept);
    assert_eq!(pushes(node).await.last().unwrap().2, 3);
    // A notification that the limit removed is not announced again.
    assert_eq!(inbox.add(&who, &post(ids[0])).await.unwrap(), Added { new: false, unread: 3, delivered: 0 });
    assert_eq!(pushes(node).await, []);
}

async fn a_notification_for_many_users_is_in_each_inbox(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 2);
    fixture.nodes[1].subscribe(&[Channel::Node(fixture.nodes[1].id.clone())]).await;
    let [a, b] = &mut fixture.nodes[..] else { unreachable!() };
    let users: Vec<Arc<str>> = (0..600).map(|n| format!("u {n}").into()).collect();
    for (n, user) in users.iter().enumerate().take(10) {
        claim(b, user, &format!("s{n}")).await;
    }
    a.cluster.inbox.add(&users[0], &post(NotificationId::new())).await.unwrap();
    let posted = post(NotificationId::new());
    let added = a.cluster.inbox.add_many(&users, &posted).await.unwrap();
    let expected = |n| Added { new: true, unread: 1 + u64::from(n == 0), delivered: usize::from(n < 10) };
    assert_eq!(added, (0..600).map(expected).collect::<Vec<_>>());
    assert_eq!(pushes(b).await.len(), 1 + 10);
    a.cluster.inbox.delete(&users[599], posted.id).await.unwrap();
    assert_eq!(listed(&b.cluster, "u 599").await, []);
    assert_eq!(listed(&b.cluster, "u 598").await, [(posted.id.to_string(), false)]);
    let again = a.cluster.inbox.add_many(&users, &posted).await.unwrap();
    assert!(again.iter().all(|added| !added.new));
}

async fn one_session_gets_the_current_count(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 2);
    for node in &fixture.nodes {
        node.subscribe(&[Channel::Node(node.id.clone())]).await;
    }
    let [a, b] = &mut fixture.nodes[..] else { unreachable!() };
    claim(a, "u v", "s1").await;
    claim(b, "u v", "s2").await;
    add(a, 2).await;
    assert_eq!((pushes(a).await.len(), pushes(b).await.len()), (2, 2));
    // One of the sessions is not claimed, and gets the count nevertheless.
    let pushed = [session_ref("u v", "s2"), session_ref("nobody", "s9")];
    a.cluster.inbox.push_count(&pushed, &b.id).await.unwrap();
    assert_eq!(pushes(a).await, []);
    let pushed = pushes(b).await.into_iter().map(|(sessions, change, unread)| (sessions, (change, unread)));
    let expected = [(vec!["s2".into()], (None, 2)), (vec!["s9".into()], (None, 0))];
    assert_eq!(pushed.collect::<BTreeMap<_, _>>(), BTreeMap::from(expected));
}
