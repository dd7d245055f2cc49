//! The contract of `cluster::log`.

use std::time::{Duration, Instant};

use jackfield_cluster::{
    Unavailable,
    bus::Channel,
    log::{Durability, KEPT, KEPT_FOR, PAGE_BYTES, Position, Range},
    partition::Partition,
    room_name::RoomName,
    wire::BusMessage,
};

use crate::{
    direct::Direct,
    fixture::{Backend, Fixture, Node, contract, redis},
};

contract!(
    numbers_have_no_holes_and_are_published_in_order,
    senders_on_all_nodes_share_one_order,
    the_same_key_is_stored_once,
    an_append_says_what_it_has_reached,
    pages_after_before_and_newest,
    only_the_newest_are_kept,
    a_page_has_the_time_that_its_messages_are_kept,
    a_room_without_messages_has_a_position,
    a_page_after_a_number_is_cut_by_bytes,
    rooms_and_namespaces_are_independent,
    a_new_epoch_is_later_than_one_that_was_seen,
    an_append_to_a_log_that_fell_back_begins_a_new_epoch,
);

fn room(name: &str) -> RoomName {
    RoomName::parse(&"/".into(), name).unwrap()
}

async fn append(node: &Node, body: &str) -> Position {
    node.cluster.log.append(&room("r"), body, None, None, Durability::Memory).await.unwrap().position
}

async fn numbers(node: &Node, range: Range, count: usize) -> Vec<u64> {
    let page = node.cluster.log.read(&room("r"), range, count, None).await.unwrap();
    page.messages.into_iter().map(|message| message.position.number).collect()
}

async fn numbers_have_no_holes_and_are_published_in_order(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 2);
    fixture.nodes[1].subscribe(&[Channel::Room(room("r"))]).await;
    let body = "\"content\":\"ä \\\" b\"}";
    let first = append(&fixture.nodes[0], body).await;
    assert_eq!((first.number, first.epoch > 0), (1, true));
    for n in 2..50 {
        assert_eq!(append(&fixture.nodes[0], body).await, Position { number: n, ..first });
    }
    for n in 1..50 {
        let message = fixture.nodes[1].next_message().await;
        assert_eq!(message, BusMessage::Message { position: Position { number: n, ..first }, body: body.into() });
    }
    let page = fixture.nodes[1].cluster.log.read(&room("r"), Range::After(48), 10, Some(first)).await.unwrap();
    assert_eq!((page.end.number, page.end.epoch, page.base, &*page.messages[0].body), (49, first.epoch, 0, body));
}

async fn senders_on_all_nodes_share_one_order(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 3);
    for node in &fixture.nodes {
        node.subscribe(&[Channel::Room(room("r"))]).await;
    }
    let senders = fixture.nodes.iter().flat_map(|node| {
        (0..5).map(|sender| {
            let (log, id) = (node.cluster.log.clone(), node.id.clone());
            tokio::spawn(async move {
                for n in 0..40 {
                    log.append(&room("r"), &format!("{id} {sender} {n}"), None, None, Durability::Memory)
                        .await
                        .unwrap();
                }
            })
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.unwrap();
    }
    let mut orders = Vec::new();
    for node in &mut fixture.nodes {
        let received = node.received().await.into_iter().map(|message| match message {
            BusMessage::Message { position, body } => (position.number, body),
            other => panic!("{other:?}"),
        });
        orders.push(received.collect::<Vec<_>>());
    }
    assert!(orders[0].iter().map(|(number, _)| *number).eq(1..=600));
    assert!(orders[0] == orders[1] && orders[1] == orders[2]);
}

async fn the_same_key_is_stored_once(backend: Backend) {
    let mut fixture = Fixture::with_nodes(backend, 2);
    fixture.nodes[0].subscribe(&[Channel::Room(room("r"))]).await;
    let [a, b] = &fixture.nodes[..] else { unreachable!() };
    let first = a.cluster.log.append(&room("r"), "one", Some("u k"), None, Durability::Memory).await.unwrap();
    let again = b.cluster.log.append(&room("r"), "two", Some("u k"), None, Durability::Memory).await.unwrap();
    let other = b.cluster.log.append(&room("r"), "three", Some("v k"), None, Durability::Memory).await.unwrap();
    assert_eq!((first.new, again.new, again.position), (true, false, first.position));
    assert_eq!((other.new, other.position.number), (true, 2));
    let find = async |name: &str, key| {
        b.cluster.log.find(&room(name), key, Durability::Memory).await.unwrap().map(|found| found.position)
    };
    assert_eq!(find("r", "u k").await, Some(first.position));
    assert_eq!((find("r", "u x").await, find("other", "u k").await), (None, None));
    assert_eq!(fixture.nodes[0].received().await.len(), 2);
}

async fn an_append_says_what_it_has_reached(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let log = &fixture.nodes[0].cluster.log;
    let durable = Durability::Memory;
    let first = log.append(&room("r"), "one", Some("k"), None, durable).await.unwrap();
    let found = log.find(&room("r"), "k", durable).await.unwrap().unwrap();
    assert_eq!((first.durable, found.durable), (durable, durable));
    assert_eq!((log.shortfalls(&[durable]), log.shortfalls(&[])), (vec![], vec![]));
}

async fn pages_after_before_and_newest(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let node = &fixture.nodes[0];
    for n in 0..20 {
        append(node, &n.to_string()).await;
    }
    assert_eq!(numbers(node, Range::After(0), 3).await, [1, 2, 3]);
    assert_eq!(numbers(node, Range::After(18), 5).await, [19, 20]);
    assert_eq!(numbers(node, Range::After(20), 5).await, Vec::<u64>::new());
    assert_eq!(numbers(node, Range::Before(3), 5).await, [1, 2]);
    assert_eq!(numbers(node, Range::Before(0), 5).await, Vec::<u64>::new());
    assert_eq!(numbers(node, Range::Before(21), 2).await, [19, 20]);
    assert_eq!(numbers(node, Range::Newest, 3).await, [18, 19, 20]);
    assert_eq!(numbers(node, Range::Newest, 0).await, Vec::<u64>::new());
}

async fn only_the_newest_are_kept(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let node = &fixture.nodes[0];
    for n in 0..KEPT + 5 {
        append(node, &n.to_string()).await;
    }
    let kept = numbers(node, Range::After(0), 2 * KEPT).await;
    assert_eq!((kept.len(), kept[0], kept[KEPT - 1]), (KEPT, 6, 1_005));
}

async fn a_page_has_the_time_that_its_messages_are_kept(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let node = &fixture.nodes[0];
    let kept_for = async |range, count| node.cluster.log.read(&room("r"), range, count, None).await.unwrap().kept_for;
    assert_eq!(kept_for(Range::Newest, 10).await, KEPT_FOR, "an empty page is kept for the whole time");
    append(node, "old").await;
    // The message's age grows.
    let soon = Instant::now() + Duration::from_secs(10);
    while kept_for(Range::Newest, 10).await > KEPT_FOR - Duration::from_millis(50) {
        assert!(Instant::now() < soon, "its age does not grow");
    }
    append(node, "new").await;
    for range in [Range::Newest, Range::After(0)] {
        let kept_for = kept_for(range, 10).await;
        assert!(
            (KEPT_FOR - Duration::from_mins(1)..KEPT_FOR - Duration::from_millis(49)).contains(&kept_for),
            "the oldest counts"
        );
    }
}

async fn a_room_without_messages_has_a_position(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let log = &fixture.nodes[0].cluster.log;
    let read = async || log.read(&room("r"), Range::Newest, 50, None).await.unwrap();
    let before = read().await;
    assert_eq!((before.end, before.end.number, before.messages.len()), (before.empty, 0, 0));
    assert_eq!(
        (read().await.end, log.empty(&room("r")).await.unwrap()),
        (before.end, before.end),
        "the position is stable"
    );
    let first = append(&fixture.nodes[0], "x").await;
    assert_eq!(first.number, 1);
    assert!(first > before.end);
    let after = read().await;
    assert_eq!((after.end, after.base, after.empty), (first, 0, before.empty));
}

async fn a_page_after_a_number_is_cut_by_bytes(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let node = &fixture.nodes[0];
    let (large, small) = ("x".repeat(PAGE_BYTES / 4), "y");
    for n in 0..10 {
        append(node, if n < 6 { &large } else { small }).await;
    }
    assert_eq!(numbers(node, Range::After(0), KEPT).await, [1, 2, 3, 4]);
    assert_eq!(numbers(node, Range::After(1), 2).await, [2, 3]);
    assert_eq!(numbers(node, Range::After(4), KEPT).await, [5, 6, 7, 8, 9, 10]);
    append(node, &"z".repeat(PAGE_BYTES * 2)).await;
    assert_eq!(numbers(node, Range::After(10), KEPT).await, [11], "at least one message");
    assert_eq!(numbers(node, Range::Newest, 8).await.len(), 8, "other ranges are cut by number only");
}

async fn rooms_and_namespaces_are_independent(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let log = &fixture.nodes[0].cluster.log;
    let chat = RoomName::parse(&"/chat".into(), "r").unwrap();
    append(&fixture.nodes[0], "x").await;
    assert_eq!(log.append(&chat, "y", None, None, Durability::Memory).await.unwrap().position.number, 1);
    assert_eq!(log.append(&room("r2"), "z", None, None, Durability::Memory).await.unwrap().position.number, 1);
}

/// Simulates a failover to a server whose clock is behind, and that lacks the newest messages.
async fn a_new_epoch_is_later_than_one_that_was_seen(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let log = &fixture.nodes[0].cluster.log;
    let first = append(&fixture.nodes[0], "x").await;
    let seen = Position { epoch: first.epoch + 3_600_000_000, number: 7 };
    let page = log.read(&room("r"), Range::After(7), 10, Some(seen)).await.unwrap();
    assert!(page.end > seen);
    assert_eq!((page.base, page.end.number, page.messages.len()), (1, 1, 0));
    assert_eq!(append(&fixture.nodes[0], "y").await, Position { number: 2, ..page.end });
    let later = Position { epoch: page.end.epoch + 3_600_000_000, number: 9 };
    let third = log.append(&room("r"), "z", None, Some(later), Durability::Memory).await.unwrap().position;
    assert!(third > later);
    assert_eq!(third.number, 3);
    let fresh = log.append(&room("fresh"), "z", None, Some(later), Durability::Memory).await.unwrap().position;
    assert!(fresh > later);
    assert_eq!(fresh.number, 1);
}

/// Simulates a failover to a server that lacks the newest messages: their positions are not given to others.
async fn an_append_to_a_log_that_fell_back_begins_a_new_epoch(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let log = &fixture.nodes[0].cluster.log;
    let last = append(&fixture.nodes[0], "x").await;
    let after = async |seen| log.append(&room("r"), "y", None, Some(seen), Durability::Memory).await.unwrap().position;
    let next = after(last).await;
    assert_eq!(next, Position { number: 2, ..last }, "nothing is lost");
    let lost = Position { number: 4, ..last };
    let new = after(lost).await;
    assert!(new.epoch > lost.epoch && new.number == 3, "{new:?}");
    let page = log.read(&room("r"), Range::After(0), 10, Some(new)).await.unwrap();
    assert_eq!((page.base, page.end, page.messages.len()), (2, new, 3));
    assert_eq!(after(new).await, Position { number: 4, ..new });
}

/// Only Redis has terms. Another one stands for a failover or a restart.
#[tokio::test]
async fn in_a_new_term_readers_go_on_under_a_new_epoch_unless_somebody_has_seen_more() {
    if redis().is_none() {
        return;
    }
    let fixture = Fixture::with_nodes(Backend::Redis, 1);
    let node = &fixture.nodes[0];
    let log = &node.cluster.log;
    let partition = Partition::of_room(&room("r"));
    let begin_term = async |term| fixture.begin_term(partition, term).await;
    let read = async |range, seen| log.read(&room("r"), range, KEPT, Some(seen)).await.unwrap();

    let mut ends = Vec::new();
    for term in ["a", "b", "c"] {
        append(node, term).await;
        ends.push(append(node, term).await);
        begin_term(term).await;
    }
    assert!(ends.is_sorted_by_key(|end| end.epoch) && ends[0].epoch < ends[1].epoch && ends[1].epoch < ends[2].epoch);
    assert_eq!(ends.iter().map(|end| end.number).collect::<Vec<_>>(), [2, 4, 6]);
    let page = read(Range::After(0), ends[2]).await;
    assert!(page.end.epoch > ends[2].epoch && page.end.number == 6 && page.base == 0);
    assert_eq!(page.earlier, ends);
    let positions: Vec<_> = page.messages.iter().map(|stored| stored.position).collect();
    let given = ends.iter().flat_map(|end| [Position { number: end.number - 1, ..*end }, *end]);
    assert_eq!(positions, given.collect::<Vec<_>>(), "messages keep their positions");
    assert_eq!(page.number_of(page.empty), Some(0), "its first epoch is known");
    assert_eq!(read(Range::After(6), ends[2]).await.end, page.end, "once in a term");
    assert_eq!(append(node, "x").await, Position { number: 7, ..page.end });

    begin_term("d").await;
    let page = read(Range::Newest, ends[2]).await;
    assert_eq!((page.base, page.earlier.len(), page.earlier[0]), (2, 3, ends[1]), "the oldest is forgotten");
    assert_eq!((page.number_of(ends[0]), page.number_of(page.empty)), (None, None));

    let more = Position { number: ends[2].number + 1, ..ends[2] };
    let anew = read(Range::Newest, more).await;
    assert!(anew.end.epoch > page.end.epoch);
    assert_eq!((anew.base, anew.earlier.len(), anew.number_of(page.end)), (7, 0, None), "all readers begin anew");

    begin_term("e").await;
    let next = append(node, "y").await;
    assert_eq!(read(Range::Newest, anew.end).await.earlier, [anew.end]);
    assert_eq!(read(Range::Newest, page.end).await.end, next, "an epoch that is forgotten is no evidence");
    // Another server was the master between these two, and all of its messages are lost.
    let between = Position { epoch: anew.end.epoch + 1, number: 1 };
    let again = read(Range::Newest, between).await;
    assert!(again.end.epoch > next.epoch && again.number_of(anew.end).is_none());
}

/// On a Redis Cluster the term may be on its way to another server.
#[tokio::test]
async fn without_a_term_the_epoch_goes_on() {
    if redis().is_none() {
        return;
    }
    let fixture = Fixture::with_nodes(Backend::Redis, 1);
    let node = &fixture.nodes[0];
    let first = append(node, "x").await;
    fixture.begin_term(Partition::of_room(&room("r")), "").await;
    assert_eq!(append(node, "y").await, Position { number: 2, ..first });
}

/// Only Redis has keys that expire.
#[tokio::test]
async fn old_messages_are_deleted_and_the_keys_outlive_what_they_promise() {
    if redis().is_none() {
        return;
    }
    let fixture = Fixture::with_nodes(Backend::Redis, 1);
    let log = &fixture.nodes[0].cluster.log;
    let tag = Partition::of_room(&room("r")).tag();
    let keys = ["log", "head"].map(|kind| format!("{}:{{{tag}}}:r:%2F%23r:{kind}", fixture.prefix));
    let hour = Duration::from_hours(1).as_millis() as i64;
    let promised = [KEPT_FOR, 30 * KEPT_FOR].map(|promised| promised.as_millis() as i64);
    for _ in 0..30 {
        log.append(&room("r"), "{}", None, None, Durability::Memory).await.unwrap();
    }
    let mut redis = Direct::connect().await.with_key(&keys[1]).await;
    for (key, promised) in keys.iter().zip(promised) {
        let left: i64 = ::redis::cmd("PTTL").arg(key).query_async(&mut redis).await.unwrap();
        assert!((promised + hour - 60_000..=promised + hour).contains(&left), "{key}: {left} ms");
    }
    // Makes all of them, and the last time at which the expiry was set, older than messages are kept.
    let old = chrono::Utc::now().timestamp_millis() - promised[0] - 60_000;
    ::redis::cmd("DEL").arg(&keys[0]).exec_async(&mut redis).await.unwrap();
    for number in 1..=30 {
        let mut add = ::redis::cmd("XADD");
        add.arg(&keys[0]).arg(format!("{number}-0")).arg(&["t", &old.to_string(), "b", "{}"]);
        add.exec_async(&mut redis).await.unwrap();
    }
    let mut age = ::redis::cmd("HSET");
    age.arg(&keys[1]).arg("x").arg(old).exec_async(&mut redis).await.unwrap();
    let page = log.read(&room("r"), Range::Newest, 50, None).await.unwrap();
    assert!(page.messages.is_empty(), "they are too old to be read");
    log.append(&room("r"), "{}", None, None, Durability::Memory).await.unwrap();
    let kept: usize = ::redis::cmd("XLEN").arg(&keys[0]).query_async(&mut redis).await.unwrap();
    assert_eq!(kept, 1);
    let left: i64 = ::redis::cmd("PTTL").arg(&keys[0]).query_async(&mut redis).await.unwrap();
    assert!(left > promised[0], "set anew: {left} ms");
}

/// What Redis does is in [`crate::durability`].
#[tokio::test]
async fn a_cluster_in_memory_stores_nothing_that_needs_a_replica_or_a_disk() {
    let fixture = Fixture::with_nodes(Backend::Memory, 1);
    let log = &fixture.nodes[0].cluster.log;
    for durable in Durability::BEYOND_MEMORY {
        assert_eq!(log.append(&room("r"), "one", Some("k"), None, durable).await, Err(Unavailable));
        assert_eq!(log.find(&room("r"), "k", durable).await, Err(Unavailable));
        assert!(log.shortfalls(&[durable])[0].reason.contains("redis.url"));
    }
    assert_eq!(numbers(&fixture.nodes[0], Range::Newest, 10).await, Vec::<u64>::new());
}
