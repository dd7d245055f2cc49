//! The contract of `cluster::inbox`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jackfield_gateway::cluster::{
    Cluster, Terms,
    bus::Channel,
    ids::SessionId,
    inbox::{Added, Changed, Keep},
    notice::Notice,
    notification::{NotificationId, Posted},
    sessions::{Claimed, OnConflict, Policy},
};
use serde_json::{Value, json};

use crate::fixture::{Backend, Fixture, Node, TERMS, contract, holding, id_of, until};

const MULTI: Policy = Policy { limit: 0, on_conflict: OnConflict::Evict };

contract!(
    what_is_added_is_listed_newest_first_and_counted,
    every_session_hears_of_it_and_then_the_count,
    reading_deleting_and_the_count_go_together,
    the_same_id_is_stored_once_even_after_it_was_deleted,
    pages_go_on_before_what_is_not_there_any_more,
    only_the_newest_are_kept_and_only_for_so_long,
    many_users_get_it_and_each_has_an_inbox_of_their_own,
    one_session_is_told_the_present_count,
);

fn user(name: &str) -> Arc<str> {
    name.into()
}

fn post(id: NotificationId) -> Posted {
    Posted::new(id, "title", "m \" ä", "info", None)
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
    let listed: Vec<Value> = page.notifications.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    assert_eq!(page.unread, listed.iter().filter(|one| one["read"] == json!(false)).count() as u64);
    let id = |one: &Value| one["id"].as_str().unwrap().to_owned();
    listed.iter().map(|one| (id(one), one["read"].as_bool().unwrap())).collect()
}

async fn claim(node: &Node, name: &str, session: &str) {
    let claimed = node.cluster.sessions.claim(&holding(name, session), &node.id.0.as_ref().into(), MULTI, &[]).await;
    assert!(matches!(claimed, Ok(Claimed::Granted { .. })));
}

/// The events that a node receives for its sessions: `(sessions, name, data)`.
async fn heard(node: &mut Node) -> Vec<(Vec<SessionId>, String, Value)> {
    let events = node.heard_so_far().await.into_iter().map(|notice| match notice {
        Notice::ToSessions { mut sessions, event } => {
            sessions.sort();
            let (name, data) = serde_json::from_slice(&[b"[", &event[..], b"]"].concat()).unwrap();
            (sessions, name, data)
        }
        other => panic!("{other:?}"),
    });
    events.collect()
}

/// The fields of an event without its timestamp, which has to be there.
fn plain(mut data: Value) -> Value {
    assert!(data.as_object_mut().unwrap().remove("timestamp").is_some_and(|at| at.as_str().unwrap().ends_with('Z')));
    data
}

async fn what_is_added_is_listed_newest_first_and_counted(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 2);
    let [a, b] = &fixture.nodes[..] else { unreachable!() };
    assert_eq!(listed(&a.cluster, "u v").await, []);
    let ids = add(a, 3).await;
    let expected: Vec<_> = ids.iter().rev().map(|id| (id.to_string(), false)).collect();
    assert_eq!(listed(&b.cluster, "u v").await, expected);
    let data = serde_json::value::to_raw_value(&json!({"a": [1, "}"]})).unwrap();
    let posted = Posted::new(NotificationId::new(), "t", "m", "k", Some(&data));
    let added = b.cluster.inbox.add(&user("u v"), &posted).await.unwrap();
    assert_eq!(added, Added { new: true, unread: 4, delivered: 0 });
    let page = a.cluster.inbox.list(&user("u v"), None, 1).await.unwrap();
    assert_eq!((page.notifications, page.unread, page.more), (vec![posted.json()], 4, true));
}

async fn every_session_hears_of_it_and_then_the_count(backend: Backend) {
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
    assert_eq!(heard(c).await, []);
    for (node, sessions) in [(a, vec!["s1".into(), "s2".into()]), (b, vec![SessionId::from("s3")])] {
        let [new, count] = heard(node).await.try_into().unwrap();
        assert_eq!((&new.0, &count.0), (&sessions, &sessions));
        let body = json!({"id": posted.id.to_string(), "title": "title", "message": "m \" ä", "type": "info"});
        assert_eq!((new.1.as_str(), plain(new.2)), ("notification:new", json!({ "notification": body })));
        assert_eq!((count.1.as_str(), plain(count.2)), ("notification:unread_count", json!({"unreadCount": 1})));
    }
}

async fn reading_deleting_and_the_count_go_together(backend: Backend) {
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
    let read = |id: Value| json!({"notificationId": id, "success": true});
    let mut heard = heard(node).await.into_iter().map(|(_, name, data)| (name, data));
    for (event, unread) in [
        (read(json!(ids[0].to_string())), 3),
        (read(json!(ids[0].to_string())), 3),
        (json!({"notificationId": ids[0].to_string()}), 3),
        (json!({"notificationId": ids[1].to_string()}), 2),
        (json!({"notificationId": null, "all": true, "success": true}), 0),
        (json!({"notificationId": ids[2].to_string()}), 0),
    ] {
        let (name, data) = heard.next().unwrap();
        let is_read = event.get("success").is_some();
        let expected = if is_read { "notification:read" } else { "notification:deleted" };
        assert_eq!((name.as_str(), if is_read { data } else { plain(data) }), (expected, event));
        let (name, data) = heard.next().unwrap();
        assert_eq!((name.as_str(), plain(data)), ("notification:unread_count", json!({ "unreadCount": unread })));
    }
    assert_eq!(heard.next(), None);
}

async fn the_same_id_is_stored_once_even_after_it_was_deleted(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 2);
    fixture.nodes[0].subscribe(&[Channel::Node(fixture.nodes[0].id.clone())]).await;
    let [a, b] = &mut fixture.nodes[..] else { unreachable!() };
    claim(a, "u v", "s").await;
    let ids = add(a, 2).await;
    a.cluster.inbox.mark_read(&user("u v"), Some(ids[0])).await.unwrap();
    assert_eq!(heard(a).await.len(), 6);
    let again = Added { new: false, unread: 1, delivered: 0 };
    assert_eq!(b.cluster.inbox.add(&user("u v"), &post(ids[0])).await.unwrap(), again);
    b.cluster.inbox.delete(&user("u v"), ids[0]).await.unwrap();
    assert_eq!(b.cluster.inbox.add(&user("u v"), &post(ids[0])).await.unwrap(), again);
    assert_eq!(heard(a).await.len(), 2);
    assert_eq!(listed(&b.cluster, "u v").await, [(ids[1].to_string(), false)]);
}

async fn pages_go_on_before_what_is_not_there_any_more(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let node = &fixture.nodes[0];
    let ids = add(node, 25).await;
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = node.cluster.inbox.list(&user("u v"), before, 10).await.unwrap();
        assert_eq!(page.more, seen.len() + page.notifications.len() < 25);
        for text in &page.notifications {
            let listed: Value = serde_json::from_str(text).unwrap();
            seen.push(NotificationId::parse(listed["id"].as_str().unwrap()).unwrap());
        }
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

async fn only_the_newest_are_kept_and_only_for_so_long(backend: Backend) {
    let terms = Terms { notifications: Keep { most: 3, age: Duration::from_hours(1) }, ..TERMS };
    let mut fixture = Fixture::with_terms(backend, 1, terms);
    let node = &mut fixture.nodes[0];
    node.subscribe(&[Channel::Node(node.id.clone())]).await;
    claim(node, "u v", "s").await;
    let (inbox, who) = (node.cluster.inbox.clone(), user("u v"));
    let too_old = post(id_of(Duration::from_mins(61)));
    assert_eq!(inbox.add(&who, &too_old).await.unwrap(), Added { new: false, unread: 0, delivered: 0 });
    let dying = post(id_of(Duration::from_millis(59 * 60_000 + 57_000)));
    assert_eq!(inbox.add(&who, &dying).await.unwrap(), Added { new: true, unread: 1, delivered: 1 });
    let ids = add(node, 1).await;
    assert_eq!(heard(node).await.last().unwrap().2["unreadCount"], json!(2));
    // The next read drops it, and every session gets the count.
    let cluster = node.cluster.clone();
    until("it is too old", || async { (listed(&cluster, "u v").await.len() == 1).then_some(()) }).await;
    let events = heard(node).await;
    assert_eq!((events.len(), &events[0].2["unreadCount"]), (1, &json!(1)));
    let more = add(node, 3).await;
    let kept: Vec<_> = more.iter().rev().map(|id| (id.to_string(), false)).collect();
    assert_eq!(listed(&node.cluster, "u v").await, kept);
    assert_eq!(heard(node).await.last().unwrap().2["unreadCount"], json!(3));
    // A notification that was pushed out is not announced again.
    assert_eq!(inbox.add(&who, &post(ids[0])).await.unwrap(), Added { new: false, unread: 3, delivered: 0 });
    assert_eq!(heard(node).await, []);
}

async fn many_users_get_it_and_each_has_an_inbox_of_their_own(backend: Backend) {
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
    assert_eq!(heard(b).await.len(), 2 + 20);
    a.cluster.inbox.delete(&users[599], posted.id).await.unwrap();
    assert_eq!(listed(&b.cluster, "u 599").await, []);
    assert_eq!(listed(&b.cluster, "u 598").await, [(posted.id.to_string(), false)]);
    let again = a.cluster.inbox.add_many(&users, &posted).await.unwrap();
    assert!(again.iter().all(|added| !added.new));
}

async fn one_session_is_told_the_present_count(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 2);
    for node in &fixture.nodes {
        node.subscribe(&[Channel::Node(node.id.clone())]).await;
    }
    let [a, b] = &mut fixture.nodes[..] else { unreachable!() };
    claim(a, "u v", "s1").await;
    claim(b, "u v", "s2").await;
    add(a, 2).await;
    assert_eq!((heard(a).await.len(), heard(b).await.len()), (4, 4));
    // One of them is not claimed, and gets the count all the same.
    let told = [holding("u v", "s2"), holding("nobody", "s9")];
    a.cluster.inbox.tell(&told, &b.id).await.unwrap();
    assert_eq!(heard(a).await, []);
    let told = heard(b).await.into_iter().map(|(sessions, _, data)| (sessions, plain(data)));
    let expected = [(vec!["s2".into()], json!({"unreadCount": 2})), (vec!["s9".into()], json!({"unreadCount": 0}))];
    assert_eq!(told.collect::<BTreeMap<_, _>>(), BTreeMap::from(expected));
}
