//! The contract of `cluster::recovery`, and of records in `cluster::connects`, `cluster::sessions` and
//! `cluster::user_log`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use jackfield_cluster::{
    Terms,
    bus::Channel,
    connects::{Connected, Granted},
    ids::{RecordId, SocketId},
    log::Position,
    recovery::{Place, Record, Wish},
    sessions::{Ended, HeldSession, OnConflict, Policy, Restored},
    wire::{BusMessage, UserEvent},
};
use jackfield_shared::claims::{Mark, Marks};

use crate::fixture::{Backend, Fixture, Node, TERMS, contract, ended, session_ref, until};

const NOTHING: Position = Position { epoch: 0, number: 0 };
const ANY: Policy = Policy { limit: 0, on_conflict: OnConflict::Evict };
const SINGLE: Policy = Policy { limit: 1, on_conflict: OnConflict::Evict };
const REJECT: Policy = Policy { limit: 1, on_conflict: OnConflict::Reject };

contract!(
    a_client_that_comes_back_gets_its_socket_and_its_rooms,
    the_session_before_ends_whatever_the_policy,
    a_record_is_kept_for_a_while_after_its_session,
    a_final_end_and_an_eviction_delete_the_record,
    only_a_record_of_the_user_and_of_the_namespace_is_found,
    a_session_that_lost_its_record_changes_nothing,
    a_record_has_the_marks_of_the_token_before,
    a_new_record_replaces_the_one_that_cannot_be_used,
    each_namespace_has_its_own_socket,
    events_for_a_user_who_may_come_back_are_kept,
);

/// The marks of a token that was issued later than all before.
fn marks() -> Marks {
    static ISSUED: AtomicU64 = AtomicU64::new(1);
    Marks { issued_at: ISSUED.fetch_add(1, Ordering::Relaxed), login: Some(Mark::of("u", "l")), token: None }
}

fn wish(resume: Option<RecordId>) -> Wish {
    Wish { new: RecordId::random(), resume, namespace: "/".into(), socket: SocketId::random(), token: marks() }
}

async fn connect(node: &Node, session: &str, policy: Policy, wish: &Wish) -> Granted {
    let by = node.id.0.as_ref().into();
    match node.cluster.connects.connect(&session_ref("u", session), &by, policy, &[], Some(wish)).await.unwrap() {
        Connected::Granted(granted) => granted,
        Connected::Refused { holders } => panic!("refused, held by {holders:?}"),
    }
}

/// The record's socket and rooms as a client that comes back under this session gets them.
async fn resume(node: &Node, session: &str, record: RecordId) -> Option<(SocketId, Vec<(u32, Arc<str>)>)> {
    let Record { socket, mut rooms, .. } = connect(node, session, ANY, &wish(Some(record))).await.record?;
    rooms.sort_unstable();
    Some((socket, rooms))
}

async fn release(node: &Node, session: &str, is_final: bool) {
    let ended = Ended { is_final, ..ended("u", session) };
    node.cluster.sessions.release(&[ended], &node.id.0.as_ref().into()).await.unwrap();
}

async fn enter(node: &Node, session: &str, record: RecordId, number: u32, room: &str) {
    let place = Place { namespace: "/", number, room };
    node.cluster.recovery.enter(&session_ref("u", session), record, place).await.unwrap();
}

async fn leave(node: &Node, session: &str, record: RecordId, number: u32) {
    let place = Place { namespace: "/", number, room: "" };
    node.cluster.recovery.leave(&session_ref("u", session), record, place).await.unwrap();
}

async fn sessions(node: &Node) -> Vec<String> {
    let sessions = node.cluster.sessions.of(&["u".into()]).await.unwrap();
    sessions[0].iter().map(|live| live.session.to_string()).collect()
}

async fn a_client_that_comes_back_gets_its_socket_and_its_rooms(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 2);
    let [a, b] = &fixture.nodes[..] else { unreachable!() };
    let first = wish(None);
    assert_eq!(connect(a, "s1", ANY, &first).await.record, None);
    for (number, room) in [(1, "one"), (2, "two"), (3, "a b~c")] {
        enter(a, "s1", first.new, number, room).await;
    }
    leave(a, "s1", first.new, 2).await;
    let rooms = vec![(1, "one".into()), (3, "a b~c".into())];
    let users: Vec<Arc<str>> = vec!["b".into(), "c \"d\"".into()];
    let session = session_ref("u", "s1");
    a.cluster.recovery.watch(&session, first.new, "/", &users).await.unwrap();
    a.cluster.recovery.watch(&session, first.new, "/chat", &[]).await.unwrap();
    let again = wish(Some(first.new));
    assert_eq!(connect(b, "s1", ANY, &again).await.record.unwrap().watched, users);
    a.cluster.recovery.watch(&session, first.new, "/", &[]).await.unwrap();
    // While the session before lives, and after its end; again and again.
    assert_eq!(resume(b, "s2", first.new).await, Some((first.socket, rooms.clone())));
    release(b, "s2", false).await;
    assert_eq!(resume(a, "s3", first.new).await, Some((first.socket, rooms)));
}

async fn the_session_before_ends_whatever_the_policy(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 2);
    fixture.nodes[0].subscribe(&[Channel::Node(fixture.nodes[0].id.clone())]).await;
    let [a, b] = &mut fixture.nodes[..] else { unreachable!() };
    let first = wish(None);
    connect(a, "s1", REJECT, &first).await;
    let record = connect(b, "s2", REJECT, &wish(Some(first.new))).await.record.unwrap();
    assert_eq!(record.before, Some("s1".into()));
    assert_eq!(sessions(b).await, ["s2"]);
    assert_eq!(a.received().await, [BusMessage::Evicted("s1".into())]);
    // Its late end does no harm to the record.
    release(a, "s1", true).await;
    assert!(resume(b, "s3", first.new).await.is_some());
    // A refused connect leaves the record alone.
    connect(a, "t1", ANY, &wish(None)).await;
    let (session, by, again) = (session_ref("u", "s4"), b.id.0.as_ref().into(), wish(Some(first.new)));
    let refused = b.cluster.connects.connect(&session, &by, REJECT, &[], Some(&again)).await.unwrap();
    assert!(matches!(refused, Connected::Refused { .. }));
    assert_eq!(sessions(b).await, ["s3", "t1"]);
    enter(b, "s3", first.new, 9, "late").await;
    assert_eq!(resume(b, "s5", first.new).await.unwrap().1, [(9, "late".into())]);
}

async fn a_record_is_kept_for_a_while_after_its_session(backend: Backend) {
    let terms = Terms { recovery: Duration::from_millis(300), ..TERMS };
    let fixture = Fixture::with_terms(backend, 1, terms);
    let node = &fixture.nodes[0];
    let first = wish(None);
    connect(node, "s1", ANY, &first).await;
    // Time has to pass: to ask for a record is to take it over.
    tokio::time::sleep(terms.recovery * 2).await;
    assert!(resume(node, "s2", first.new).await.is_some(), "its session lived");
    release(node, "s2", false).await;
    assert!(resume(node, "s3", first.new).await.is_some());
    release(node, "s3", false).await;
    tokio::time::sleep(terms.recovery * 2).await;
    assert_eq!(resume(node, "s4", first.new).await, None);
}

async fn a_final_end_and_an_eviction_delete_the_record(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let node = &fixture.nodes[0];
    let first = wish(None);
    connect(node, "s1", ANY, &first).await;
    release(node, "s1", true).await;
    assert_eq!(resume(node, "s2", first.new).await, None);
    let evicted = wish(None);
    connect(node, "s3", SINGLE, &evicted).await;
    connect(node, "s4", SINGLE, &wish(None)).await;
    assert_eq!(resume(node, "s5", evicted.new).await, None);
    // One that is evicted when its node registers it again.
    let older = wish(None);
    let generation = connect(node, "s6", ANY, &older).await.generation;
    connect(node, "s7", ANY, &wish(None)).await;
    let session = session_ref("u", "s6");
    let held = HeldSession { session, generation, seen: NOTHING, record: Some(older.new) };
    let restored = node.cluster.sessions.restore(&[held], &"n0".into(), SINGLE).await.unwrap();
    assert_eq!(restored, [Restored::Evicted]);
    assert_eq!(resume(node, "s8", older.new).await, None);
}

async fn only_a_record_of_the_user_and_of_the_namespace_is_found(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let node = &fixture.nodes[0];
    let first = wish(None);
    connect(node, "s1", ANY, &first).await;
    let by = node.id.0.as_ref().into();
    let of = async |user: &str, wish: Wish| match node
        .cluster
        .connects
        .connect(&session_ref(user, "s"), &by, ANY, &[], Some(&wish))
        .await
        .unwrap()
    {
        Connected::Granted(granted) => granted.record,
        Connected::Refused { .. } => unreachable!(),
    };
    assert_eq!(of("other", wish(Some(first.new))).await, None);
    assert_eq!(of("u", wish(Some(RecordId::random()))).await, None);
    assert_eq!(of("u", Wish { namespace: "/chat".into(), ..wish(Some(first.new)) }).await, None);
    assert_eq!(sessions(node).await, ["s1", "s"], "its session goes on");
    assert!(of("u", wish(Some(first.new))).await.is_some());
}

async fn a_session_that_lost_its_record_changes_nothing(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 2);
    let [a, b] = &fixture.nodes[..] else { unreachable!() };
    let first = wish(None);
    let granted = connect(a, "s1", ANY, &first).await;
    enter(a, "s1", first.new, 1, "one").await;
    assert!(resume(b, "s2", first.new).await.is_some());
    // Its node was frozen, and goes on.
    enter(a, "s1", first.new, 2, "two").await;
    leave(a, "s1", first.new, 1).await;
    let session = session_ref("u", "s1");
    assert_eq!(a.cluster.recovery.resume(&session, first.new, "/").await.unwrap(), None);
    let (generation, record) = (granted.generation, Some(first.new));
    let held = HeldSession { session, generation, seen: granted.end, record };
    let restored = a.cluster.sessions.restore(&[held], &"n0".into(), ANY).await.unwrap();
    assert_eq!(restored, [Restored::Evicted], "its client is elsewhere");
    assert_eq!(sessions(b).await, ["s2"]);
    assert_eq!(resume(b, "s3", first.new).await.unwrap().1, [(1, "one".into())]);
}

async fn a_new_record_replaces_the_one_that_cannot_be_used(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let node = &fixture.nodes[0];
    let first = wish(None);
    connect(node, "s1", ANY, &first).await;
    enter(node, "s1", first.new, 1, "one").await;
    assert!(resume(node, "s2", first.new).await.is_some());
    let (next, socket) = (RecordId::random(), SocketId::random());
    node.cluster.recovery.begin(&session_ref("u", "s2"), next, "/", socket, marks()).await.unwrap();
    release(node, "s2", false).await;
    assert_eq!(resume(node, "s3", first.new).await, None);
    assert_eq!(resume(node, "s4", next).await, Some((socket, vec![])));
    // A new socket in the same record has none of the stays.
    enter(node, "s4", next, 1, "one").await;
    let other = SocketId::random();
    node.cluster.recovery.begin(&session_ref("u", "s4"), next, "/", other, marks()).await.unwrap();
    assert_eq!(resume(node, "s5", next).await, Some((other, vec![])));
}

async fn each_namespace_has_its_own_socket(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let node = &fixture.nodes[0];
    let first = wish(None);
    connect(node, "s1", ANY, &first).await;
    let (session, chat) = (session_ref("u", "s1"), SocketId::random());
    node.cluster.recovery.begin(&session, first.new, "/chat", chat, marks()).await.unwrap();
    enter(node, "s1", first.new, 1, "one").await;
    let place = Place { namespace: "/chat", number: 1, room: "other" };
    node.cluster.recovery.enter(&session, first.new, place).await.unwrap();
    assert_eq!(resume(node, "s2", first.new).await, Some((first.socket, vec![(1, "one".into())])));
    let found = node.cluster.recovery.resume(&session_ref("u", "s2"), first.new, "/chat").await.unwrap().unwrap();
    assert_eq!((found.socket, found.rooms), (chat, vec![(1, "other".into())]));
}

async fn events_for_a_user_who_may_come_back_are_kept(backend: Backend) {
    let terms = Terms { recovery: Duration::from_millis(400), ..TERMS };
    let fixture = Fixture::with_terms(backend, 1, terms);
    let node = &fixture.nodes[0];
    let (user, log) = (Arc::<str>::from("u"), &node.cluster.user_log);
    let event = UserEvent::Event { except: vec![], content: Bytes::from_static(b"\"e\"") };
    let first = wish(None);
    let end = connect(node, "s1", ANY, &first).await.end;
    release(node, "s1", false).await;
    assert_eq!(log.send(&[Arc::clone(&user)], &event).await.unwrap(), [0]);
    let page = log.read(&user, end).await.unwrap();
    assert_eq!((page.messages.len(), page.end.number), (1, 1));
    assert_eq!(connect(node, "s2", ANY, &wish(Some(first.new))).await.end, page.end);
    release(node, "s2", true).await;
    // Nobody can come back: nothing is numbered.
    until("it is over", async || {
        let before = log.read(&user, page.end).await.unwrap().end;
        log.send(&[Arc::clone(&user)], &event).await.unwrap();
        (log.read(&user, page.end).await.unwrap().end == before).then_some(())
    })
    .await;
}

async fn a_record_has_the_marks_of_the_token_before(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let node = &fixture.nodes[0];
    let first = wish(None);
    connect(node, "s1", ANY, &first).await;
    let (second, third) = (wish(Some(first.new)), wish(Some(first.new)));
    assert_eq!(connect(node, "s2", ANY, &second).await.record.unwrap().token, first.token);
    assert_eq!(connect(node, "s3", ANY, &third).await.record.unwrap().token, second.token);
    let session = session_ref("u", "s3");
    let kept = node.cluster.recovery.resume(&session, first.new, "/").await.unwrap().unwrap();
    assert_eq!(kept.token, third.token);
    let other = marks();
    node.cluster.recovery.begin(&session, first.new, "/chat", SocketId::random(), other).await.unwrap();
    let kept = node.cluster.recovery.resume(&session, first.new, "/").await.unwrap().unwrap();
    assert_eq!(kept.token, other);
}
