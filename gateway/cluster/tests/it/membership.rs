//! The contract of `cluster::membership`.

use std::time::{Duration, Instant};

use jackfield_cluster::{
    RedisSettings, Unavailable,
    ids::{Incarnation, random_id},
    membership::Secret,
    over_redis,
    partition::PartitionSet,
    presence::{Scope, Stay},
    room_name::RoomName,
};

use jackfield_shared::lifecycle::Lifecycle;

use crate::fixture::{Backend, Fixture, Node, TERMS, contract, now_millis, only_redis, session_ref, several, until};

contract!(
    a_lease_holds_while_it_is_renewed,
    a_lost_lease_is_not_renewed,
    all_leases_return_since_when_data_is_kept,
    a_dead_node_is_assigned_to_one_survivor,
    a_new_node_gets_no_dead_node_before_a_full_term,
    a_survivor_that_does_not_finish_is_replaced,
    indexed_stays_can_be_read_until_they_are_removed,
    nothing_of_a_removed_incarnation_is_left,
    all_nodes_see_a_report_until_its_node_is_removed,
    all_nodes_have_the_secret_that_was_proposed_first,
    an_address_is_known_while_its_node_is_live,
    a_removed_incarnation_leaves_the_address_of_its_successor,
);

async fn renew(node: &Node, incarnation: &Incarnation) -> bool {
    node.cluster.membership.renew(incarnation).await.unwrap()
}

async fn live(node: &Node) -> Vec<Incarnation> {
    let mut live = node.cluster.membership.live().await.unwrap();
    live.sort_unstable();
    live
}

/// Renews `own` until `ask` has an answer.
async fn while_renewing<T>(node: &Node, own: &Incarnation, what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    until(what, || async {
        assert!(renew(node, own).await, "lost the lease that was being renewed");
        ask().await
    })
    .await
}

async fn take(node: &Node, own: &Incarnation) -> Option<Incarnation> {
    node.cluster.membership.take_dead(own).await.unwrap().map(|dead| dead.incarnation)
}

async fn a_lease_holds_while_it_is_renewed(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 2);
    let [a, b] = &fixture.nodes[..] else { unreachable!() };
    let (of_a, of_b) = (a.register().await, b.register().await);
    assert_eq!((of_a.node(), of_b.node()), (a.id.clone(), b.id.clone()));
    let mut both = vec![of_a.clone(), of_b.clone()];
    both.sort_unstable();
    assert_eq!(live(a).await, both);
    let began = Instant::now();
    while_renewing(a, &of_a, "two terms", async || (began.elapsed() > TERMS.lease * 2).then_some(())).await;
    assert_eq!(live(b).await, [of_a], "the other did not renew");
}

async fn all_leases_return_since_when_data_is_kept(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 2);
    let [a, b] = &fixture.nodes[..] else { unreachable!() };
    let (_, first) = a.cluster.membership.register(&a.id, "a:1").await.unwrap();
    let (_, of_b) = b.cluster.membership.register(&b.id, "b:1").await.unwrap();
    let (_, second) = a.cluster.membership.register(&a.id, "a:1").await.unwrap();
    assert!(first == of_b && first == second);
}

async fn a_lost_lease_is_not_renewed(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let node = &fixture.nodes[0];
    let lost = node.register().await;
    until("lost", || async { live(node).await.is_empty().then_some(()) }).await;
    assert!(!renew(node, &lost).await);
    let next = node.register().await;
    assert!(next != lost && renew(node, &next).await);
    assert!(!renew(node, &"never:was".into()).await);
}

async fn a_dead_node_is_assigned_to_one_survivor(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 3);
    let [a, b, dead] = &fixture.nodes[..] else { unreachable!() };
    let (of_a, of_b) = (a.register().await, b.register().await);
    let gone = dead.register().await;
    let times = std::cell::Cell::new(0);
    while_renewing(a, &of_a, "the dead node is assigned, and nobody gets it again", async || {
        assert!(renew(b, &of_b).await);
        let taken: Vec<_> = [take(a, &of_a).await, take(b, &of_b).await].into_iter().flatten().collect();
        assert!(taken.iter().all(|taken| *taken == gone));
        times.set(times.get() + taken.len());
        (times.get() > 0 && taken.is_empty()).then_some(())
    })
    .await;
    // Each of several Redis assigns it once; releasing again does no harm.
    assert!(times.get() <= several(backend), "{} times", times.get());
}

async fn a_new_node_gets_no_dead_node_before_a_full_term(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 2);
    let [old, new] = &fixture.nodes[..] else { unreachable!() };
    old.register().await;
    until("old is dead", || async { live(old).await.is_empty().then_some(()) }).await;
    let began = Instant::now();
    let own = new.register().await;
    while_renewing(new, &own, "new gets the dead node", async || take(new, &own).await).await;
    // The back end's clock is in milliseconds, ours is finer.
    assert!(began.elapsed() + Duration::from_millis(2) >= TERMS.lease, "after {:?}", began.elapsed());
}

async fn a_survivor_that_does_not_finish_is_replaced(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 3);
    let [a, b, dead] = &fixture.nodes[..] else { unreachable!() };
    let (of_a, of_b) = (a.register().await, b.register().await);
    let gone = dead.register().await;
    let both = async || {
        assert!(renew(b, &of_b).await);
    };
    while_renewing(a, &of_a, "a gets the dead node", async || {
        both().await;
        take(a, &of_a).await
    })
    .await;
    let second = until("b gets it after a", || async {
        both().await;
        renew(a, &of_a).await;
        take(b, &of_b).await
    })
    .await;
    assert_eq!(second, gone);
}

async fn indexed_stays_can_be_read_until_they_are_removed(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 2);
    let [a, b] = &fixture.nodes[..] else { unreachable!() };
    let own = a.register().await;
    let room = RoomName::parse(&"/chat".into(), "a:b").unwrap();
    let in_room = |n: u32| Stay {
        scope: Scope::Room(room.clone()),
        user: "u 1".into(),
        session: format!("s{n}").as_str().into(),
    };
    let mut many: Vec<Stay> = (0..1_000)
        .map(|n| Stay::online(&session_ref(&format!("u {n}"), &format!("s{n}"))))
        .chain((0..500).map(in_room))
        .collect();
    a.cluster.membership.index_add(&own, &many).await.unwrap();
    a.cluster.membership.index_add(&own, &many[..10]).await.unwrap();
    assert_eq!(b.cluster.membership.indexed(&own, PartitionSet::ALL, 100).await.unwrap().len(), 100);
    let mut read = b.cluster.membership.indexed(&own, PartitionSet::ALL, 5_000).await.unwrap();
    let order = |entries: &mut Vec<Stay>| entries.sort_by_key(ToString::to_string);
    order(&mut many);
    order(&mut read);
    assert_eq!(read, many);
    a.cluster.membership.index_remove(&own, &many[1..]).await.unwrap();
    assert_eq!(b.cluster.membership.indexed(&own, PartitionSet::ALL, 5).await.unwrap(), &many[..1]);
}

async fn nothing_of_a_removed_incarnation_is_left(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let node = &fixture.nodes[0];
    let own = node.register().await;
    node.cluster.membership.index_add(&own, &[Stay::online(&session_ref("u", "s"))]).await.unwrap();
    node.cluster.membership.forget_dead(&own, PartitionSet::ALL).await.unwrap();
    assert!(!renew(node, &own).await && live(node).await.is_empty());
    assert_eq!(node.cluster.membership.indexed(&own, PartitionSet::ALL, 5).await.unwrap(), []);
}

async fn all_nodes_see_a_report_until_its_node_is_removed(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 2);
    let [a, b] = &fixture.nodes[..] else { unreachable!() };
    let (of_a, _) = (a.register().await, b.register().await);
    assert!(b.cluster.membership.reports().await.unwrap().is_empty());
    for report in ["{\"first\":1}", "then"] {
        a.cluster.membership.report(&of_a, report).await.unwrap();
        assert_eq!(b.cluster.membership.reports().await.unwrap(), [(of_a.clone(), report.to_owned())]);
    }
    assert!(renew(a, &of_a).await, "the lease still holds");
    a.cluster.membership.forget_dead(&of_a, PartitionSet::ALL).await.unwrap();
    a.cluster.membership.report(&of_a, "too late").await.unwrap();
    assert!(b.cluster.membership.reports().await.unwrap().is_empty(), "a removed incarnation reports nothing");
}

async fn all_nodes_have_the_secret_that_was_proposed_first(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 2);
    let [a, b] = &fixture.nodes[..] else { unreachable!() };
    let (first, second) = (Secret::random(), Secret::random());
    assert!(first != second && !format!("{first:?}").contains(&first.as_bytes()[0].to_string()));
    assert_eq!(a.cluster.membership.secret(&first).await.unwrap(), first);
    assert_eq!(b.cluster.membership.secret(&second).await.unwrap(), first);
    assert_eq!(a.cluster.membership.secret(&second).await.unwrap(), first);
}

async fn an_address_is_known_while_its_node_is_live(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 2);
    let [a, b] = &fixture.nodes[..] else { unreachable!() };
    let address = async || b.cluster.membership.address(a.id.tag()).await.unwrap();
    assert_eq!(address().await, None, "it is not live");
    for text in ["10.0.0.1:13000", "[2001:db8::1]:13000"] {
        let (of_a, _) = a.cluster.membership.register(&a.id, text).await.unwrap();
        assert_eq!(address().await, Some((of_a, text.to_owned())));
    }
    assert_eq!(b.cluster.membership.address("").await.unwrap(), None);
    assert_eq!(b.cluster.membership.address(b.id.tag()).await.unwrap(), None);
    until("the lease is over", || async { address().await.is_none().then_some(()) }).await;
}

async fn a_removed_incarnation_leaves_the_address_of_its_successor(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let node = &fixture.nodes[0];
    let membership = &node.cluster.membership;
    let (old, _) = membership.register(&node.id, "10.0.0.1:1").await.unwrap();
    let (new, _) = membership.register(&node.id, "10.0.0.1:2").await.unwrap();
    membership.forget_dead(&old, PartitionSet::ALL).await.unwrap();
    assert_eq!(membership.address(node.id.tag()).await.unwrap(), Some((new.clone(), "10.0.0.1:2".to_owned())));
    membership.forget_dead(&new, PartitionSet::ALL).await.unwrap();
    assert_eq!(membership.address(node.id.tag()).await.unwrap(), None);
}

/// Over one plain Redis only: its databases, with several names, are several Redis here.
#[tokio::test]
async fn nodes_with_another_list_of_redis_do_not_serve_together() {
    let Some(url) = only_redis() else { return };
    let hosts = ["127.0.0.1", "localhost", "127.1"];
    let database = |number: &usize| format!("{}/{number}", url.replace(hosts[0], hosts[number - 1]));
    let databases = |numbers: &[usize]| numbers.iter().map(database).collect();
    let lifecycle = Lifecycle::new();
    let prefix = format!("test-{}", random_id());
    let node = |id: &str, numbers: &[usize]| {
        let settings = RedisSettings { urls: databases(numbers), ..RedisSettings::default() };
        over_redis(settings.topology().unwrap(), &prefix, &id.into(), TERMS, &lifecycle)
    };
    let first = node("first", &[1, 2]).0.membership;
    let (of_first, _) = first.register(&"first".into(), "a:1").await.unwrap();
    for (id, numbers) in [("more", &[1, 2, 3][..]), ("other order", &[2, 1]), ("fewer", &[1])] {
        let other = node(id, numbers).0.membership;
        assert_eq!(other.register(&id.into(), "a:2").await.err(), Some(Unavailable), "{id}");
        assert_eq!(first.live().await.unwrap(), std::slice::from_ref(&of_first), "{id}");
    }
    let second = node("second", &[1, 2]).0.membership;
    let (of_second, _) = second.register(&"second".into(), "a:3").await.unwrap();
    first.forget_dead(&of_first, PartitionSet::ALL).await.unwrap();
    second.forget_dead(&of_second, PartitionSet::ALL).await.unwrap();
    let more = node("more", &[1, 2, 3]).0.membership;
    assert!(more.register(&"more".into(), "a:4").await.is_ok(), "the others have ended");
    lifecycle.stop();
}

/// Versions before the partitions had another name for the leases.
#[tokio::test]
async fn a_node_waits_for_an_earlier_version_to_end() {
    let Some(url) = only_redis() else { return };
    let fixture = Fixture::with_nodes(Backend::Redis, 1);
    let node = &fixture.nodes[0];
    let mut redis = ::redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let leases = format!("{}:{{nodes}}:leases", fixture.prefix);
    let mut lease = async |end: u64| {
        ::redis::cmd("ZADD").arg(&leases).arg(end).arg("old:x").exec_async(&mut redis).await.unwrap();
    };
    lease(now_millis() + 60_000).await;
    let register = async || node.cluster.membership.register(&node.id, "a:1").await;
    assert_eq!(register().await.err(), Some(Unavailable));
    lease(now_millis() - 1).await;
    assert!(register().await.is_ok());
}
