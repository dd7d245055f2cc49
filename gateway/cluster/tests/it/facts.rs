//! The contract of `cluster::facts`: what is recorded, the log, leases and hooks' progress. That sessions' facts pair up
//! in any order of calls is tested in `facts_property`.

use std::time::Duration;

use jackfield_cluster::{
    Terms,
    connects::{Connected, Granted},
    facts::{Begin, Fact, FactTerms, HookState, HookStatus, Kind, Kinds, Parked, Progress, Saved},
    ids::{Incarnation, RecordId, SocketId},
    log::{Durability, Position},
    partition::{PARTITIONS, Partition},
    presence::{Announce, Ending, Entry, Scope, Stay},
    recovery::Wish,
    room_name::RoomName,
    sessions::{EndReason, Ended, HeldSession, OnConflict, Policy, Restored},
};
use serde_json::{Value, json};

use crate::fixture::{Backend, Fixture, Node, TERMS, contract, now_millis, session_ref, until};

const SINGLE: Policy = Policy { limit: 1, on_conflict: OnConflict::Evict };
const REJECT: Policy = Policy { limit: 1, on_conflict: OnConflict::Reject };
const LEASE: Duration = Duration::from_millis(400);

contract!(
    a_session_starts_and_ends_with_its_reason,
    a_replaced_session_ends_before_the_new_one_starts,
    sessions_of_dead_nodes_end_as_lost,
    a_session_that_its_client_continues_ends_as_resumed,
    restoring_starts_only_what_was_not_registered,
    a_user_is_online_and_offline_once,
    rooms_are_occupied_and_vacated_by_their_first_and_last_member,
    large_rooms_have_facts_although_nobody_is_announced,
    nothing_is_recorded_for_users_who_never_left,
    a_message_is_recorded_once_with_its_fields,
    only_wanted_kinds_are_recorded,
    numbers_have_no_holes_and_pages_continue,
    facts_beyond_the_most_are_dropped_and_counted,
    facts_are_kept_only_for_their_age,
    a_lease_has_one_holder_and_ends_by_itself,
    the_number_of_deliverers_is_known,
    progress_is_saved_only_by_the_holder_and_against_its_version,
    a_new_hook_begins_at_the_end,
    dead_facts_are_listed_and_parked_again,
);

pub fn with_facts(backend: Backend, kinds: Kinds) -> Fixture {
    let facts = FactTerms { kinds, max: 100_000, age: Duration::from_hours(24) };
    Fixture::with_terms(backend, 2, Terms { facts, ..TERMS })
}

/// All facts, in the order of their time.
pub async fn all(node: &Node) -> Vec<Fact> {
    let mut facts = Vec::new();
    for partition in Partition::all() {
        let mut after = Position::default();
        loop {
            let page = node.cluster.facts.read(partition, after, 1_000).await.unwrap();
            after = page.next;
            if page.facts.is_empty() {
                break;
            }
            facts.extend(page.facts);
        }
    }
    // Stable: facts of one script may have the same time.
    facts.sort_by_key(|fact| fact.id.at);
    facts
}

/// All facts as `(kind, data)`.
async fn recorded(node: &Node) -> Vec<(&'static str, Value)> {
    let data = |fact: Fact| (fact.kind.as_str(), serde_json::from_str(&fact.data).unwrap());
    all(node).await.into_iter().map(data).collect()
}

/// The same without data that the test does not give.
async fn brief(node: &Node) -> Vec<String> {
    let text = |(kind, data): (&str, Value)| {
        let field = |name: &str| data[name].as_str().map(|text| format!(" {text}")).unwrap_or_default();
        format!("{kind}{}{}{}", field("session"), field("user"), field("reason"))
    };
    recorded(node).await.into_iter().map(text).collect()
}

async fn connect(node: &Node, session: &str, by: &str, policy: Policy, wish: Option<&Wish>) -> Connected {
    node.cluster.connects.connect(&session_ref("u", session), &by.into(), policy, &[], wish).await.unwrap()
}

fn end(session: &str, reason: EndReason) -> Ended {
    Ended { session: session_ref("u", session), is_final: false, reason }
}

fn held(session: &str, generation: u64, record: Option<RecordId>) -> HeldSession {
    HeldSession { session: session_ref("u", session), generation, seen: Position::default(), record }
}

fn room() -> RoomName {
    RoomName::parse(&"/chat".into(), "r:1").unwrap()
}

fn in_room(user: &str, session: &str) -> Entry {
    let stay = Stay { scope: Scope::Room(room()), user: user.into(), session: session.into() };
    Entry { stay, profile: "{}".into() }
}

async fn a_session_starts_and_ends_with_its_reason(backend: Backend) {
    let fixture = with_facts(backend, Kinds::ALL);
    let node = &fixture.nodes[0];
    let before = now_millis();
    let (socket, record) = (SocketId::random(), RecordId::random());
    let token = Default::default();
    let wish = Wish { new: record, resume: None, namespace: "/chat".into(), socket, token };
    connect(node, "s1", "n0:1", SINGLE, Some(&wish)).await;
    // Claimed again, and ended by another incarnation: neither changes anything.
    connect(node, "s1", "n0:1", SINGLE, None).await;
    node.cluster.sessions.release(&[end("s1", EndReason::Client)], &"n1:1".into()).await.unwrap();
    let twice = [end("s1", EndReason::PingTimeout), end("s1", EndReason::Client)];
    node.cluster.sessions.release(&twice, &"n0:1".into()).await.unwrap();
    let started = json!({
        "session": "s1", "user": "u", "node": "n0", "namespace": "/chat", "socketId": socket.to_string()
    });
    assert_eq!(
        recorded(node).await,
        [
            ("session.started", started),
            ("user.online", json!({ "user": "u" })),
            ("session.ended", json!({ "session": "s1", "user": "u", "reason": "ping_timeout", "node": "n0" })),
        ]
    );
    for fact in all(node).await {
        let ms = fact.id.at / 1_000;
        assert!((before - 1_000..=now_millis() + 1_000).contains(&ms), "{ms}");
        assert_eq!(fact.subject(), "user u");
    }
}

async fn a_replaced_session_ends_before_the_new_one_starts(backend: Backend) {
    let fixture = with_facts(backend, Kinds::matching(["session.*"]).unwrap());
    let node = &fixture.nodes[0];
    connect(node, "s1", "n0:1", SINGLE, None).await;
    connect(node, "s2", "n1:1", SINGLE, None).await;
    let expected = ["session.started s1 u", "session.ended s1 u replaced", "session.started s2 u"];
    assert_eq!(brief(node).await, expected);
}

async fn sessions_of_dead_nodes_end_as_lost(backend: Backend) {
    let fixture = with_facts(backend, Kinds::matching(["session.*"]).unwrap());
    let node = &fixture.nodes[0];
    connect(node, "s1", "n0:1", REJECT, None).await;
    let claim = |dead| async move {
        let dead: &[Incarnation] = dead;
        node.cluster.connects.connect(&session_ref("u", "s2"), &"n1:1".into(), REJECT, dead, None).await.unwrap()
    };
    assert!(matches!(claim(&[]).await, Connected::Refused { .. }));
    assert!(matches!(claim(&["n0:1".into()]).await, Connected::Granted(_)));
    let expected = ["session.started s1 u", "session.ended s1 u node_lost", "session.started s2 u"];
    assert_eq!(brief(node).await, expected);
}

async fn a_session_that_its_client_continues_ends_as_resumed(backend: Backend) {
    let fixture = with_facts(backend, Kinds::matching(["session.*"]).unwrap());
    let node = &fixture.nodes[0];
    let (socket, record, token) = (SocketId::random(), RecordId::random(), Default::default());
    let wish = |resume| Wish { new: record, resume, namespace: "/".into(), socket: SocketId::random(), token };
    connect(node, "s1", "n0:1", SINGLE, Some(&Wish { socket, ..wish(None) })).await;
    let Connected::Granted(Granted { generation, .. }) =
        connect(node, "s2", "n1:1", SINGLE, Some(&wish(Some(record)))).await
    else {
        panic!("refused")
    };
    assert!(generation > 0);
    // The node before does not know yet, and registers the session again.
    let restored = node.cluster.sessions.restore(&[held("s1", 1, Some(record))], &"n0:2".into(), SINGLE).await;
    assert_eq!(restored.unwrap(), [Restored::Evicted]);
    let expected = ["session.started s1 u", "session.ended s1 u resumed", "session.started s2 u"];
    assert_eq!(brief(node).await, expected);
    let of_socket = |(_, data): &(&str, Value)| data["socketId"] == json!(socket.to_string());
    assert_eq!(recorded(node).await.iter().filter(|fact| of_socket(fact)).count(), 2, "it is the same socket");
}

async fn restoring_starts_only_what_was_not_registered(backend: Backend) {
    let fixture = with_facts(backend, Kinds::matching(["session.*"]).unwrap());
    let node = &fixture.nodes[0];
    let restore = |session: &'static str, generation, by: &'static str| async move {
        let held = [held(session, generation, None)];
        node.cluster.sessions.restore(&held, &by.into(), SINGLE).await.unwrap().remove(0)
    };
    let Connected::Granted(Granted { generation, .. }) = connect(node, "s1", "n0:1", SINGLE, None).await else {
        panic!("refused")
    };
    assert!(matches!(restore("s1", generation, "n0:2").await, Restored::Kept { .. }));
    node.cluster.sessions.release(&[end("s1", EndReason::NodeLost)], &"n0:2".into()).await.unwrap();
    assert!(matches!(restore("s1", generation, "n0:3").await, Restored::Kept { .. }));
    connect(node, "s2", "n1:1", SINGLE, None).await;
    // Not registered any more, and above the limit: has neither begun nor ended.
    assert_eq!(restore("s1", generation, "n0:4").await, Restored::Evicted);
    let expected = [
        "session.started s1 u",
        "session.ended s1 u node_lost",
        "session.started s1 u",
        "session.ended s1 u replaced",
        "session.started s2 u",
    ];
    assert_eq!(brief(node).await, expected);
    assert!(matches!(restore("s0", generation + 1_000_000_000, "n0:4").await, Restored::Kept { .. }));
    assert_eq!(brief(node).await[5..], ["session.ended s2 u replaced", "session.started s0 u"]);
}

async fn a_user_is_online_and_offline_once(backend: Backend) {
    let fixture = with_facts(backend, Kinds::matching(["user.*"]).unwrap());
    let [a, b] = &fixture.nodes[..] else { unreachable!() };
    let stay = |session: &str| Stay::online(&session_ref("u", session));
    let many = Policy { limit: 0, ..SINGLE };
    for session in ["s1", "s2"] {
        connect(a, session, "n0:1", many, None).await;
    }
    for session in ["s1", "s2"] {
        a.cluster.presence.leave(&[stay(session)], &"n0:1".into(), Ending::Gone).await.unwrap();
    }
    assert_eq!(brief(a).await, ["user.online u"], "the grace has begun");
    until("offline", || async {
        for node in [a, b] {
            node.cluster.presence.settle().await.unwrap();
        }
        (brief(a).await.len() > 1).then_some(())
    })
    .await;
    assert_eq!(brief(a).await, ["user.online u", "user.offline u"]);
    // A stay that is registered again, and then left.
    let entry = Entry::from(&session_ref("u", "s3"));
    b.cluster.presence.enter(std::slice::from_ref(&entry), &"n1:1".into(), Announce::Yes).await.unwrap();
    b.cluster.presence.leave(&[stay("s3")], &"n1:1".into(), Ending::Left).await.unwrap();
    assert_eq!(brief(a).await[2..], ["user.online u", "user.offline u"]);
}

async fn rooms_are_occupied_and_vacated_by_their_first_and_last_member(backend: Backend) {
    let fixture = with_facts(backend, Kinds::ALL);
    let node = &fixture.nodes[0];
    let by: Incarnation = "n0:1".into();
    let (ann, bob) = (in_room("ann", "s1~1"), in_room("bob", "s2~1"));
    for entry in [&ann, &in_room("ann", "s3~1"), &bob] {
        node.cluster.presence.enter(std::slice::from_ref(entry), &by, Announce::Yes).await.unwrap();
    }
    let stays = [ann.stay.clone(), in_room("ann", "s3~1").stay, bob.stay.clone(), bob.stay];
    node.cluster.presence.leave(&stays, &by, Ending::Left).await.unwrap();
    let of = |user: &str| json!({ "namespace": "/chat", "room": "r:1", "user": user });
    let alone = json!({ "namespace": "/chat", "room": "r:1" });
    assert_eq!(
        recorded(node).await,
        [
            ("room.occupied", alone.clone()),
            ("room.joined", of("ann")),
            ("room.joined", of("bob")),
            ("room.left", of("ann")),
            ("room.left", of("bob")),
            ("room.vacated", alone),
        ]
    );
    assert!(all(node).await.iter().all(|fact| fact.subject() == "room /chat#r:1"));
}

async fn large_rooms_have_facts_although_nobody_is_announced(backend: Backend) {
    let fixture = with_facts(backend, Kinds::matching(["room.joined", "room.left"]).unwrap());
    let node = &fixture.nodes[0];
    let by: Incarnation = "n0:1".into();
    let entries: Vec<Entry> =
        (0..TERMS.announce_max + 2).map(|n| in_room(&format!("u{n}"), &format!("s{n}"))).collect();
    node.cluster.presence.enter(&entries, &by, Announce::Yes).await.unwrap();
    let stays: Vec<Stay> = entries.into_iter().map(|entry| entry.stay).collect();
    node.cluster.presence.leave(&stays, &by, Ending::Gone).await.unwrap();
    until("all have left", || async {
        node.cluster.presence.settle().await.unwrap();
        let facts = all(node).await;
        let left = facts.iter().filter(|fact| fact.kind == Kind::RoomLeft).count();
        (left == stays.len() && facts.len() == 2 * left).then_some(())
    })
    .await;
}

async fn nothing_is_recorded_for_users_who_never_left(backend: Backend) {
    let fixture = with_facts(backend, Kinds::ALL);
    let node = &fixture.nodes[0];
    let entries = [in_room("ann", "s1~1"), Entry::from(&session_ref("u", "s3"))];
    node.cluster.presence.enter(&entries, &"n0:1".into(), Announce::No).await.unwrap();
    assert_eq!(all(node).await, []);
}

async fn a_message_is_recorded_once_with_its_fields(backend: Backend) {
    let fixture = with_facts(backend, Kinds::ALL);
    let log = &fixture.nodes[0].cluster.log;
    let body = r#""room":"r:1","content":"ä \" b","sender":{"id":"u"},"timestamp":"t"}"#;
    let stored = log.append(&room(), body, Some("key"), None, Durability::Memory).await.unwrap();
    assert!(!log.append(&room(), body, Some("key"), None, Durability::Memory).await.unwrap().new);
    log.clone().without_facts().append(&room(), body, None, None, Durability::Memory).await.unwrap();
    let data = json!({
        "namespace": "/chat", "messageId": stored.position.to_string(), "room": "r:1", "content": "ä \" b",
        "sender": { "id": "u" }, "timestamp": "t",
    });
    assert_eq!(recorded(&fixture.nodes[1]).await, [("message.stored", data)]);
    assert_eq!(all(&fixture.nodes[1]).await[0].subject(), "room /chat#r:1");
}

async fn only_wanted_kinds_are_recorded(backend: Backend) {
    let fixture = with_facts(backend, Kinds::of([Kind::SessionEnded, Kind::RoomJoined]));
    let node = &fixture.nodes[0];
    assert_eq!(node.cluster.facts.kinds(), Kinds::of([Kind::SessionEnded, Kind::RoomJoined]));
    connect(node, "s1", "n0:1", SINGLE, None).await;
    node.cluster.sessions.release(&[end("s1", EndReason::Logout)], &"n0:1".into()).await.unwrap();
    node.cluster.presence.enter(&[in_room("ann", "s1~1")], &"n0:1".into(), Announce::Yes).await.unwrap();
    node.cluster.log.append(&room(), "\"a\":1}", None, None, Durability::Memory).await.unwrap();
    assert_eq!(brief(node).await, ["session.ended s1 u logout", "room.joined ann"]);

    let silent = Fixture::with_nodes(backend, 1);
    connect(&silent.nodes[0], "s1", "n0:1", SINGLE, None).await;
    assert_eq!(all(&silent.nodes[0]).await, []);
    let tips = silent.nodes[0].cluster.facts.tips(&[Partition::new(0).unwrap()], &["h"]).await.unwrap();
    assert_eq!((tips[0].end, tips[0].versions.len()), (Position::default(), 1));
}

/// Records this many facts about one room, and returns their partition.
async fn record(node: &Node, count: usize) -> Partition {
    for n in 0..count {
        node.cluster.log.append(&room(), &format!("\"n\":{n}}}"), None, None, Durability::Memory).await.unwrap();
    }
    all(node).await.last().unwrap().id.partition
}

async fn numbers_have_no_holes_and_pages_continue(backend: Backend) {
    let fixture = with_facts(backend, Kinds::ALL);
    let node = &fixture.nodes[0];
    let partition = record(node, 250).await;
    let (mut after, mut numbers) = (Position::default(), Vec::new());
    for count in [100, 100, 100, 100] {
        let page = node.cluster.facts.read(partition, after, count).await.unwrap();
        assert_eq!((page.dropped, page.reset, page.end.number), (0, false, 250));
        numbers.extend(page.facts.iter().map(|fact| fact.id.number));
        after = page.next;
    }
    assert_eq!(numbers, (1..=250).collect::<Vec<_>>());
    let tips = fixture.nodes[1].cluster.facts.tips(&[partition], &[]).await.unwrap();
    assert_eq!(tips[0].end, after);
    // Beyond the end: the log has fallen back, and what follows has a new epoch.
    let beyond = Position { number: 300, ..after };
    let page = node.cluster.facts.read(partition, beyond, 100).await.unwrap();
    if let Backend::Redis = backend {
        assert_eq!((page.reset, page.facts.len(), page.next.number), (true, 0, 250));
        assert!(page.end.epoch > after.epoch);
        record(node, 1).await;
        let page = node.cluster.facts.read(partition, after, 100).await.unwrap();
        let numbers: Vec<_> = page.facts.iter().map(|fact| fact.id.number).collect();
        assert_eq!((page.reset, numbers), (false, vec![251]), "nothing up to there was lost");
    }
}

/// Only Redis has terms. Another one stands for a failover or a restart.
#[tokio::test]
async fn in_a_new_term_readers_of_facts_go_on_unless_they_have_read_more() {
    if crate::fixture::redis().is_none() {
        return;
    }
    let fixture = with_facts(Backend::Redis, Kinds::ALL);
    let node = &fixture.nodes[0];
    let partition = record(node, 2).await;
    let read = async |after| node.cluster.facts.read(partition, after, 100).await.unwrap();
    let first = read(Position::default()).await.next;
    fixture.begin_term(partition, "other").await;
    record(node, 1).await;
    let page = read(first).await;
    let numbers: Vec<_> = page.facts.iter().map(|fact| fact.id.number).collect();
    assert!(page.end.epoch > first.epoch);
    assert_eq!((numbers, page.reset), (vec![3], false));
    // This one's third fact was another one, which is lost.
    let more = read(Position { number: 3, ..first }).await;
    let numbers: Vec<_> = more.facts.iter().map(|fact| fact.id.number).collect();
    assert_eq!((more.reset, numbers), (true, vec![3]));
    assert!(!read(page.next).await.reset, "others miss nothing");
}

async fn facts_beyond_the_most_are_dropped_and_counted(backend: Backend) {
    let facts = FactTerms { kinds: Kinds::ALL, max: 100 * u64::from(PARTITIONS), age: Duration::from_hours(24) };
    let fixture = Fixture::with_terms(backend, 1, Terms { facts, ..TERMS });
    let node = &fixture.nodes[0];
    let partition = record(node, 1).await;
    let first = node.cluster.facts.read(partition, Position::default(), 10).await.unwrap().next;
    record(node, 500).await;
    let page = node.cluster.facts.read(partition, first, 1_000).await.unwrap();
    // Redis removes whole nodes of a stream, of about a hundred entries.
    let kept = page.facts.len() as u64;
    assert!((100..=300).contains(&kept), "{kept}");
    assert_eq!((page.dropped, page.next.number), (500 - kept, 501));
    let oldest = node.cluster.facts.read(partition, Position::default(), 1_000).await.unwrap();
    assert_eq!((oldest.facts.len() as u64, oldest.dropped), (kept, 0));
}

async fn facts_are_kept_only_for_their_age(backend: Backend) {
    let facts = FactTerms { kinds: Kinds::ALL, max: 1_000_000, age: Duration::from_millis(300) };
    let fixture = Fixture::with_terms(backend, 1, Terms { facts, ..TERMS });
    let node = &fixture.nodes[0];
    let partition = record(node, 10).await;
    // The back end and this test have one clock, or nearly so.
    let over = now_millis() + 350;
    until("the facts are over", || async { (now_millis() >= over).then_some(()) }).await;
    record(node, 40).await;
    let page = node.cluster.facts.read(partition, Position::default(), 1_000).await.unwrap();
    assert!(page.facts[0].id.number > 10, "{}", page.facts[0].id.number);
    assert_eq!(page.facts.last().unwrap().id.number, 50);
}

async fn a_lease_has_one_holder_and_ends_by_itself(backend: Backend) {
    let fixture = with_facts(backend, Kinds::ALL);
    let [a, b] = &fixture.nodes[..] else { unreachable!() };
    let two: Vec<Partition> = Partition::all().take(2).collect();
    let (by_a, by_b): (Incarnation, Incarnation) = ("n0:1".into(), "n1:1".into());
    assert_eq!(a.cluster.facts.lease(&two[..1], &by_a, LEASE).await.unwrap(), [true]);
    assert_eq!(b.cluster.facts.lease(&two, &by_b, LEASE).await.unwrap(), [false, true]);
    assert_eq!(a.cluster.facts.lease(&two, &by_a, LEASE).await.unwrap(), [true, false]);
    // Given up: free at once. Not given up: free once the lease is over.
    b.cluster.facts.leave(&two, &by_b).await.unwrap();
    assert_eq!(a.cluster.facts.lease(&two, &by_a, LEASE).await.unwrap(), [true, true]);
    until("taken over", || async {
        let taken = b.cluster.facts.lease(&two, &by_b, Duration::from_secs(10)).await.unwrap();
        (taken == [true, true]).then_some(())
    })
    .await;
    assert_eq!(a.cluster.facts.lease(&two, &by_a, LEASE).await.unwrap(), [false, false]);
}

async fn the_number_of_deliverers_is_known(backend: Backend) {
    let fixture = with_facts(backend, Kinds::ALL);
    let facts = &fixture.nodes[0].cluster.facts;
    let (a, b): (Incarnation, Incarnation) = ("n0:1".into(), "n1:1".into());
    assert_eq!(facts.deliverers(&a, Duration::from_secs(60)).await.unwrap(), 1);
    assert_eq!(facts.deliverers(&b, LEASE).await.unwrap(), 2);
    until("one ends by itself", || async {
        (facts.deliverers(&a, Duration::from_secs(60)).await.unwrap() == 1).then_some(())
    })
    .await;
    facts.leave(&Partition::all().collect::<Vec<_>>(), &a).await.unwrap();
    assert_eq!(facts.deliverers(&b, LEASE).await.unwrap(), 1);
}

fn at(number: u64) -> Progress {
    Progress { cursor: Position { epoch: 1, number }, ..Progress::default() }
}

async fn progress_is_saved_only_by_the_holder_and_against_its_version(backend: Backend) {
    let fixture = with_facts(backend, Kinds::ALL);
    let facts = &fixture.nodes[0].cluster.facts;
    let (owner, former): (Incarnation, Incarnation) = ("n0:1".into(), "n1:1".into());
    let one = Partition::new(3).unwrap();
    let begun = facts.load("h", one).await.unwrap();
    assert_eq!(begun, HookState { cursor: Position::default(), version: 0, parked: vec![] });
    assert_eq!(facts.save("h", one, &owner, 0, &at(5)).await.unwrap(), Saved::Lost, "nobody has the lease");
    facts.lease(&[one], &owner, Duration::from_secs(60)).await.unwrap();
    assert_eq!(facts.save("h", one, &former, 0, &at(9)).await.unwrap(), Saved::Lost);
    assert_eq!(facts.save("h", one, &owner, 0, &at(5)).await.unwrap(), Saved::Saved(1));
    assert_eq!(facts.save("h", one, &owner, 0, &at(6)).await.unwrap(), Saved::Changed);
    assert_eq!(facts.load("h", one).await.unwrap().cursor, at(5).cursor);
    let other = facts.load("other hook: {}", one).await.unwrap();
    assert_eq!(other.cursor, Position::default());
    let tips = facts.tips(&[one], &["h", "unknown"]).await.unwrap();
    assert_eq!(tips[0].versions, [Some(1), None]);
}

async fn a_new_hook_begins_at_the_end(backend: Backend) {
    let fixture = with_facts(backend, Kinds::ALL);
    let node = &fixture.nodes[0];
    let partition = record(node, 7).await;
    node.cluster.facts.begin("new", Begin::AtEnd).await.unwrap();
    node.cluster.facts.begin("lost", Begin::AtOldest).await.unwrap();
    record(node, 3).await;
    // Begun already: keeps its place.
    node.cluster.facts.begin("new", Begin::AtEnd).await.unwrap();
    for (hook, number) in [("new", 7), ("lost", 0), ("unknown", 0)] {
        assert_eq!(node.cluster.facts.load(hook, partition).await.unwrap().cursor.number, number, "{hook}");
    }
    assert_eq!(node.cluster.facts.status("new").await.unwrap().waiting, 3);
    assert_eq!(node.cluster.facts.status("lost").await.unwrap().waiting, 10);
}

async fn dead_facts_are_listed_and_parked_again(backend: Backend) {
    use jackfield_cluster::facts::Dead;
    let fixture = with_facts(backend, Kinds::ALL);
    let node = &fixture.nodes[0];
    let facts = &node.cluster.facts;
    let partition = record(node, 4).await;
    let owner: Incarnation = "n0:1".into();
    facts.lease(&[partition], &owner, Duration::from_secs(60)).await.unwrap();
    let page = facts.read(partition, Position::default(), 10).await.unwrap();
    let parked: Vec<Parked> = page.facts.iter().map(|fact| Parked { fact: fact.clone(), until: 77 }).collect();
    let version = facts.load("h", partition).await.unwrap().version;
    let progress = Progress {
        cursor: page.next,
        parked: parked.clone(),
        dropped: 2,
        paused_until: 99,
        error: "timeout".into(),
        ..Progress::default()
    };
    let saved = facts.save("h", partition, &owner, version, &progress).await.unwrap();
    let Saved::Saved(version) = saved else { panic!("{saved:?}") };
    assert_eq!(facts.load("h", partition).await.unwrap().parked, parked);
    let status =
        HookStatus { parked: 4, dropped: 2, paused_until: 99, error: "timeout".into(), ..HookStatus::default() };
    assert_eq!(facts.status("h").await.unwrap(), status);

    let dead: Vec<Dead> =
        page.facts[..2].iter().map(|fact| Dead { fact: fact.clone(), at: 88, reason: "status_400".into() }).collect();
    let unparked = dead.iter().map(|dead| dead.fact.id).collect();
    let progress = Progress { cursor: page.next, unparked, dead: dead.clone(), ..Progress::default() };
    facts.save("h", partition, &owner, version, &progress).await.unwrap();
    assert_eq!(facts.dead("h").await.unwrap(), dead);
    let status = HookStatus { parked: 2, dead: 2, dropped: 2, ..HookStatus::default() };
    assert_eq!(facts.status("h").await.unwrap(), status);

    let before = facts.load("h", partition).await.unwrap().version;
    let day = Duration::from_hours(24);
    assert_eq!(facts.retry("h", Some(&[dead[1].fact.id, page.facts[3].id]), day).await.unwrap(), 1);
    assert_eq!(facts.dead("h").await.unwrap(), dead[..1]);
    let after = facts.load("h", partition).await.unwrap();
    assert!(after.version > before, "its deliverer learns that it has changed");
    let again = after.parked.iter().find(|parked| parked.fact.id == dead[1].fact.id).unwrap();
    assert!(again.until.abs_diff(now_millis() + 24 * 3_600_000) < 60_000, "{}", again.until);
    assert_eq!(facts.retry("h", None, day).await.unwrap(), 1);
    assert_eq!((facts.dead("h").await.unwrap(), facts.retry("h", None, day).await.unwrap()), (vec![], 0));
    assert_eq!(facts.load("h", partition).await.unwrap().parked.len(), 4);
}
