//! Hooks that answer late or not at all: order, limits, the breaker, and who must not notice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use jackfield_cluster::revocations::About;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore};

use crate::harness::{Backend, Client, TestCluster, User, answer, hooks_setting, text};

const EVENTS: &str = "events=order:*";
const WITHIN: Duration = Duration::from_secs(20);

/// A backend whose answers to events named `order:wait` wait for a permit each.
async fn gated() -> (Backend, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let open = Arc::clone(&gate);
    let backend = Backend::new(move |call| {
        let open = Arc::clone(&open);
        async move {
            if call.body["event"] == "order:wait" {
                open.acquire().await.unwrap().forget();
            }
            answer(200, &json!({ "ack": call.body["args"] }))
        }
    });
    (backend.await, gate)
}

async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(WITHIN, waiting).await.unwrap_or_else(|_| panic!("{what}"));
}

/// The first hook, as `/v1/hooks` shows it.
async fn shown(cluster: &TestCluster) -> Value {
    cluster.get(0, "/v1/hooks").await["hooks"][0].clone()
}

async fn unavailable(client: &Client, event: &str) {
    client.refused(event, json!(0), "unavailable").await;
}

#[tokio::test]
async fn events_of_a_socket_are_handled_one_at_a_time_in_order() {
    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    let backend = Backend::new(async |call| {
        assert_eq!(RUNNING.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
        // Without order, the later ones would overtake.
        let number = call.body["args"][0].as_u64().unwrap();
        tokio::time::sleep(Duration::from_millis(20 - number)).await;
        RUNNING.fetch_sub(1, Ordering::SeqCst);
        answer(
            200,
            &json!({ "ack": [number], "emit": [
            { "event": "did", "data": number, "to": { "user": "ana" } },
        ] }),
        )
    })
    .await;
    let cluster = TestCluster::with(1, &[&backend.hook(EVENTS)]).await;
    let ana = cluster.client("ana").await;
    let ids: Vec<i64> = (0..20).map(|number| ana.start("order:x", &[json!(number)], None)).collect();
    for (number, id) in ids.into_iter().enumerate() {
        assert_eq!(ana.answer(id, "order:x").await, number);
    }
    let numbers: Vec<Value> = backend.calls().iter().map(|call| call.body["args"][0].clone()).collect();
    assert_eq!(numbers, (0..20).map(Value::from).collect::<Vec<_>>());
    until("all emits", async || ana.all("did").len() == 20).await;
    assert_eq!(ana.all("did"), numbers);
}

#[tokio::test]
async fn a_hook_that_hangs_delays_nothing_but_its_own_events_of_that_socket() {
    let (backend, gate) = gated().await;
    let other = Backend::echoing().await;
    let rules = [backend.rule("slow", "events=order:*;timeout=20s"), other.rule("other", "events=cart:*")];
    let cluster = TestCluster::with(1, &[&hooks_setting(&rules)]).await;
    let [ana, ben] = cluster.clients().await;
    let first = ana.start("order:wait", &[json!(1)], None);
    let second = ana.start("order:x", &[json!(2)], None);
    backend.called(1).await;
    assert_eq!(ana.ask("echo", json!("now")).await, "now");
    ana.join("kitchen").await;
    assert_eq!(ana.done("send-message", json!({ "room": "kitchen", "content": "c" })).await["status"], "ok");
    assert_eq!(ana.ask("cart:x", json!(3)).await, 3);
    assert_eq!(ben.ask("order:x", json!(4)).await, 4);
    assert_eq!(backend.calls().len(), 2, "the second of the same socket waits");
    gate.add_permits(1);
    assert_eq!((ana.answer(first, "first").await, ana.answer(second, "second").await), (json!(1), json!(2)));
}

#[tokio::test]
async fn no_answer_in_time_is_unavailable_and_the_time_counts_from_the_arrival() {
    let (backend, gate) = gated().await;
    let cluster = TestCluster::with(1, &[&backend.hook("events=order:*;timeout=1s")]).await;
    let ana = cluster.client("ana").await;
    let began = Instant::now();
    let ids = ["order:wait", "order:x", "order:x"].map(|event| (event, ana.start(event, &[json!(0)], None)));
    for (event, id) in ids {
        assert_eq!(ana.answer(id, event).await["code"], "unavailable");
    }
    let took = began.elapsed();
    // Three timeouts one after the other would take three seconds.
    assert!((Duration::from_secs(1)..Duration::from_secs(2)).contains(&took), "{took:?}");
    assert_eq!(shown(&cluster).await["calls"]["timeout"], 3);
    gate.add_permits(1);
    assert_eq!(ana.ask("order:x", json!(7)).await, 7);
}

#[tokio::test]
async fn calls_above_the_limit_are_refused_at_once() {
    let (backend, gate) = gated().await;
    let cluster = TestCluster::with(1, &["hook.concurrency=2", &backend.hook("events=order:*;timeout=20s")]).await;
    let [ana, ben, eve] = cluster.clients().await;
    let waiting = [&ana, &ben].map(|client| (client, client.start("order:wait", &[json!(1)], None)));
    backend.called(2).await;
    assert_eq!(shown(&cluster).await["open"], 2);
    unavailable(&eve, "order:x").await;
    assert_eq!(eve.ask("echo", json!(1)).await, 1);
    gate.add_permits(2);
    for (client, id) in waiting {
        assert_eq!(client.answer(id, "order:wait").await, 1);
    }
    assert_eq!(eve.ask("order:x", json!(2)).await, 2);
    let shown = shown(&cluster).await;
    assert_eq!((&shown["calls"]["too_many"], &shown["open"]), (&json!(1), &json!(0)));
    assert_eq!(backend.calls().len(), 3);
}

#[tokio::test]
async fn a_socket_can_have_as_many_waiting_events_as_its_inbox() {
    let (backend, gate) = gated().await;
    let cluster = TestCluster::with(
        1,
        &["limits.inbox=3", "limits.inboxBytes=65536", &backend.hook("events=order:*;timeout=20s")],
    )
    .await;
    let [ana, ben] = cluster.clients().await;
    let mut ids: Vec<i64> = Vec::new();
    for number in 0..4 {
        ids.push(ana.start("order:wait", &[json!(number)], None));
        // Each is in its lane before the next one: the connection's own inbox has the same limit.
        ana.ask("echo", json!(0)).await;
    }
    let refused = ana.refused("order:wait", json!(5), "rate_limited").await;
    assert_eq!(refused["retryAfterMs"], 1_000);
    // Bytes, too.
    let long = json!("x".repeat(40_000));
    ids.push(ben.start("order:wait", &[json!(0)], None));
    ids.push(ben.start("order:wait", std::slice::from_ref(&long), None));
    ben.refused("order:wait", long, "rate_limited").await;
    gate.add_permits(6);
    for (index, id) in ids[..4].iter().enumerate() {
        assert_eq!(ana.answer(*id, "order:wait").await, index);
    }
    for id in &ids[4..] {
        ben.answer(*id, "order:wait").await;
    }
    ana.ask("order:x", json!(1)).await;
}

#[tokio::test]
async fn a_backend_that_does_not_answer_is_called_less_and_again_once_it_does() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("s");
    std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let hook = format!("h;url=http://127.0.0.1:{port}/;{EVENTS};secretFile={}", secret.display());
    let cluster = TestCluster::with(1, &[&hooks_setting(&[hook])]).await;
    let ana = cluster.client("ana").await;
    for _ in 0..8 {
        unavailable(&ana, "order:x").await;
    }
    let after = shown(&cluster).await;
    assert_eq!(after["breaker"], "open");
    assert_eq!((&after["calls"]["unreachable"], &after["calls"]["breaker_open"]), (&json!(5), &json!(3)));
    let reason = after["lastError"]["reason"].as_str().unwrap();
    assert!(!reason.contains(&port.to_string()) || !reason.contains("http"), "{reason}");

    let backend = Backend::at(port, async |call| answer(200, &json!({ "ack": call.body["args"] }))).await;
    until("the breaker closes", async || ana.ask("order:x", json!(7)).await == 7).await;
    assert_eq!(shown(&cluster).await["breaker"], "closed");
    assert_eq!(backend.calls().len(), 1);
}

#[tokio::test]
async fn only_what_a_proxy_says_of_a_dead_backend_opens_the_breaker() {
    let backend =
        Backend::new(async |call| text(u16::try_from(call.body["args"][0].as_u64().unwrap()).unwrap(), "")).await;
    let cluster = TestCluster::with(1, &[&backend.hook(EVENTS)]).await;
    let ana = cluster.client("ana").await;
    for status in [500, 302, 404, 200, 501] {
        for _ in 0..6 {
            ana.ask("order:x", json!(status)).await;
        }
        assert_eq!(shown(&cluster).await["breaker"], "closed", "{status}");
    }
    for status in [502, 503, 504, 502, 503] {
        assert_eq!(shown(&cluster).await["breaker"], "closed");
        ana.ask("order:x", json!(status)).await;
    }
    assert_eq!(shown(&cluster).await["breaker"], "open");
    let calls = backend.calls().len();
    unavailable(&ana, "order:x").await;
    assert_eq!(backend.calls().len(), calls);
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let target = Backend::echoing().await;
    let to = target.url.clone();
    let backend = Backend::new(move |call| {
        let (to, status) = (to.clone(), u16::try_from(call.body["args"][0].as_u64().unwrap()).unwrap());
        async move {
            let mut answer = text(status, "");
            answer.headers_mut().insert("location", to.parse().unwrap());
            answer
        }
    })
    .await;
    let cluster = TestCluster::with(1, &[&backend.hook(EVENTS)]).await;
    let ana = cluster.client("ana").await;
    for status in [301, 302, 303, 307, 308] {
        ana.refused("order:x", json!(status), "unavailable").await;
    }
    assert_eq!((backend.calls().len(), target.calls().len()), (5, 0));
    assert_eq!(shown(&cluster).await["lastError"]["outcome"], "bad_answer");
}

#[tokio::test]
async fn a_socket_that_has_left_gets_nothing_but_the_emits_for_others_are_sent() {
    let gate = Arc::new(Semaphore::new(0));
    let open = Arc::clone(&gate);
    let backend = Backend::new(move |call| {
        let open = Arc::clone(&open);
        async move {
            open.acquire().await.unwrap().forget();
            let emit = json!({ "event": "made", "data": call.body["args"][0], "to": { "user": "ben" } });
            answer(200, &json!({ "join": ["kitchen"], "emit": [emit] }))
        }
    })
    .await;
    let cluster = TestCluster::with(1, &["presence.grace=0s", &backend.hook("events=order:*;timeout=20s")]).await;
    let (ana, ben) = (cluster.client("ana").await, cluster.client("ben").await);
    ben.join("kitchen").await;
    ana.emit("order:x", json!(1));
    ana.emit("order:x", json!(2));
    backend.called(1).await;
    ana.cut();
    until("ana has left", async || cluster.get(0, "/v1/stats").await["sockets"] == 1).await;
    gate.add_permits(2);
    assert_eq!((ben.next("made").await, ben.next("made").await), (json!(1), json!(2)));
    assert_eq!(ben.done("room-members", json!({ "room": "kitchen" })).await["count"], 1);
}

#[tokio::test]
async fn events_of_a_revoked_user_that_still_wait_are_not_sent() {
    let (backend, gate) = gated().await;
    let cluster = TestCluster::with(1, &[&backend.hook("events=order:*;timeout=20s")]).await;
    let ana = cluster.client(User::new("ana").of_login("l")).await;
    let ben = cluster.client("ben").await;
    ana.emit("order:wait", json!(1));
    ana.emit("order:x", json!(2));
    backend.called(1).await;
    cluster.revoke("ana", About::Login { id: "l".into() }, "logout").await;
    ana.disconnected().await;
    gate.add_permits(1);
    until("the first call has ended", async || shown(&cluster).await["open"] == 0).await;
    assert_eq!(ben.ask("order:x", json!(3)).await, 3);
    let events: Vec<Value> = backend.calls().into_iter().map(|call| call.body["args"][0].clone()).collect();
    assert_eq!(events, [json!(1), json!(3)]);
}

#[tokio::test]
async fn many_sockets_share_a_hook() {
    let backend = Backend::echoing().await;
    let cluster = TestCluster::with(2, &[&backend.hook(EVENTS)]).await;
    let clients: [Client; 16] = cluster.clients().await;
    join_all(clients.iter().map(async |client| {
        let ids: Vec<i64> = (0..25).map(|number| client.start("order:x", &[json!(number)], None)).collect();
        for (number, id) in ids.into_iter().enumerate() {
            assert_eq!(client.answer(id, "order:x").await, number);
        }
    }))
    .await;
    assert_eq!(backend.calls().len(), 400);
}
