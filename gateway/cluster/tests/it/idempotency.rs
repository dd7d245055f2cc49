//! The contract of `cluster::idempotency`.

use bytes::Bytes;
use jackfield_cluster::idempotency::{Attempt, Begun};

use crate::fixture::{Backend, Fixture, contract};

contract!(
    a_second_attempt_waits_and_then_gets_the_reply,
    another_operation_under_the_same_name_is_reported,
    a_failed_operation_is_retried_under_the_first_id,
    a_refused_operation_frees_its_name,
    of_many_concurrent_attempts_one_runs,
);

fn attempt<'a>(name: &'a str, fingerprint: &'a str, id: &'a str) -> Attempt<'a> {
    Attempt { name, fingerprint, id }
}

fn go(id: &str) -> Begun {
    Begun::Go(id.to_owned())
}

async fn a_second_attempt_waits_and_then_gets_the_reply(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 2);
    let [a, b] = &fixture.nodes[..] else { unreachable!() };
    let (a, b) = (&a.cluster.idempotency, &b.cluster.idempotency);
    assert_eq!(a.begin(attempt("key 1", "f", "id1")).await.unwrap(), go("id1"));
    assert_eq!(b.begin(attempt("key 1", "f", "id2")).await.unwrap(), Begun::Running);
    let reply = Bytes::from_static(b"201 {\"a\":1}\0");
    a.done("key 1", &reply).await.unwrap();
    assert_eq!(b.begin(attempt("key 1", "f", "id3")).await.unwrap(), Begun::Done(reply));
    assert_eq!(b.begin(attempt("key 2", "f", "id4")).await.unwrap(), go("id4"));
}

async fn another_operation_under_the_same_name_is_reported(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 1);
    let names = &fixture.nodes[0].cluster.idempotency;
    assert_eq!(names.begin(attempt("k", "f", "id")).await.unwrap(), go("id"));
    assert_eq!(names.begin(attempt("k", "g", "id")).await.unwrap(), Begun::Other);
    names.done("k", &Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(names.begin(attempt("k", "g", "id")).await.unwrap(), Begun::Other);
}

async fn a_failed_operation_is_retried_under_the_first_id(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 2);
    let [a, b] = &fixture.nodes[..] else { unreachable!() };
    let (a, b) = (&a.cluster.idempotency, &b.cluster.idempotency);
    assert_eq!(a.begin(attempt("k", "f", "id1")).await.unwrap(), go("id1"));
    a.failed("k").await.unwrap();
    assert_eq!(b.begin(attempt("k", "f", "id2")).await.unwrap(), go("id1"));
    assert_eq!(a.begin(attempt("k", "f", "id3")).await.unwrap(), Begun::Running);
    // The end of an attempt that never began stores nothing.
    a.failed("unknown").await.unwrap();
    a.done("unknown", &Bytes::new()).await.unwrap();
    assert_eq!(a.begin(attempt("unknown", "f", "id")).await.unwrap(), go("id"));
}

async fn a_refused_operation_frees_its_name(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 2);
    let [a, b] = &fixture.nodes[..] else { unreachable!() };
    let (a, b) = (&a.cluster.idempotency, &b.cluster.idempotency);
    assert_eq!(a.begin(attempt("k", "f", "id1")).await.unwrap(), go("id1"));
    a.refused("k").await.unwrap();
    assert_eq!(b.begin(attempt("k", "corrected", "id2")).await.unwrap(), go("id2"));
    assert_eq!(a.begin(attempt("k", "f", "id3")).await.unwrap(), Begun::Other);
    a.refused("unknown").await.unwrap();
}

async fn of_many_concurrent_attempts_one_runs(backend: Backend) {
    let fixture = Fixture::with_nodes(backend, 4);
    let attempts = (0..40).map(|n| {
        let names = fixture.nodes[n % 4].cluster.idempotency.clone();
        tokio::task::spawn(async move { names.begin(attempt("k", "f", &n.to_string())).await.unwrap() })
    });
    let mut ahead = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        ahead += usize::from(matches!(attempt.await.unwrap(), Begun::Go(_)));
    }
    assert_eq!(ahead, 1);
}
