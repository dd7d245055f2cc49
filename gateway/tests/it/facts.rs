//! Facts: what `/v1/facts` reads, and what hooks get.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use axum::http::{Method, StatusCode};
use jackfield_cluster::MemoryCluster;
use jackfield_gateway::{Gateway, settings::GatewaySettings};
use jackfield_shared::{
    lifecycle::Lifecycle,
    settings::{Sources, load},
    verify::KeySource,
};
use serde_json::{Value, json};

use crate::harness::{API_KEY, Backend, SECRETS, TestCluster, answer, call, is_timestamp, json_of};

const ON: &str = "facts=on";
const SHORT: &str = "presence.grace=300ms";

async fn get(cluster: &TestCluster, path: &str) -> Value {
    let answer = call(cluster, 0, API_KEY, (Method::GET, path), "", &[]).await;
    assert_eq!(answer.status(), StatusCode::OK, "{path}: {:?}", answer.body());
    json_of(&answer)
}

/// Waits until the check of an answer succeeds.
async fn until(cluster: &TestCluster, path: &str, is: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..1_000 {
        let found = get(cluster, path).await;
        if is(&found) {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not in time: {path} is {}", get(cluster, path).await);
}

fn names(facts: &Value) -> Vec<String> {
    facts.as_array().unwrap().iter().map(|fact| fact["type"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_log_says_what_happened_in_order() {
    let cluster = TestCluster::with(2, &[ON]).await;
    let ana = cluster.client_on(0, "ana").await;
    ana.join("kitchen").await;
    let sent = ana.done("send-message", json!({ "room": "kitchen", "content": "hi" })).await;
    let other = cluster.client_on(1, "ana").await;
    ana.disconnected().await;
    other.cut();
    tokio::time::sleep(Duration::from_secs(60)).await;

    let answer = get(&cluster, "/v1/facts?limit=1000").await;
    assert_eq!((&answer["more"], answer.get("reset"), answer.get("dropped")), (&json!(false), None, None));
    let facts = answer["facts"].as_array().unwrap();
    assert!(
        facts.iter().all(|fact| is_timestamp(&fact["timestamp"]) && fact["id"].as_str().unwrap().starts_with("fact_"))
    );
    let mut expected = vec![
        "session.started",
        "user.online",
        "room.occupied",
        "room.joined",
        "message.stored",
        "session.ended",
        "session.started",
        "session.ended",
        "user.offline",
        "room.left",
        "room.vacated",
    ];
    let mut found = names(&answer["facts"]);
    // The room's departures and the user's have no order between them.
    expected[8..].sort_unstable();
    found[8..].sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(
        (&facts[5]["data"]["reason"], &facts[7]["data"]["reason"]),
        (&json!("replaced"), &json!("transport_error"))
    );
    assert_eq!(facts[0]["data"]["session"], facts[5]["data"]["session"]);
    let message = &facts[4]["data"];
    assert_eq!((&message["messageId"], &message["content"]), (&sent["messageId"], &json!("hi")));
    assert_eq!((&message["namespace"], &message["room"]), (&json!("/"), &json!("kitchen")));

    // In pages, and only some of them.
    let (mut cursor, mut paged) = (String::new(), Vec::new());
    loop {
        let page = get(&cluster, &format!("/v1/facts?limit=2&after={cursor}")).await;
        cursor = page["cursor"].as_str().unwrap().to_owned();
        paged.extend(page["facts"].as_array().unwrap().iter().map(|fact| fact["id"].clone()));
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(paged, facts.iter().map(|fact| fact["id"].clone()).collect::<Vec<_>>());
    let some = get(&cluster, "/v1/facts?type=session.*,room.vacated&limit=100").await;
    assert_eq!(names(&some["facts"]).len(), 5);

    // Waits for the next one.
    let path = format!("/v1/facts?wait=25&after={cursor}&type=user.online");
    let (waited, _client) = tokio::join!(get(&cluster, &path), async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        cluster.client_on(1, "bob").await
    });
    assert_eq!(names(&waited["facts"]), ["user.online"]);
}

#[tokio::test(start_paused = true)]
async fn wrong_queries_are_refused_and_facts_that_are_off_are_not_found() {
    let off = TestCluster::nodes(1).await;
    let answer = call(&off, 0, API_KEY, (Method::GET, "/v1/facts"), "", &[]).await;
    assert_eq!((answer.status(), &json_of(&answer)["code"]), (StatusCode::NOT_FOUND, &json!("facts_off")));
    let cluster = TestCluster::with(1, &[ON]).await;
    for wrong in ["limit=0", "limit=1001", "after=abc", "type=nothing.*", "wait=26", "unknown=1"] {
        let answer = call(&cluster, 0, API_KEY, (Method::GET, &format!("/v1/facts?{wrong}")), "", &[]).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{wrong}");
    }
    for path in ["/v1/hooks/none/dead", "/v1/hooks/none/dead/retry"] {
        let method = if path.ends_with("retry") { Method::POST } else { Method::GET };
        let answer = call(&cluster, 0, API_KEY, (method, path), "{}", &[]).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_hook_gets_the_facts_that_it_wants_signed_and_in_order() {
    let backend = Backend::new(async |_| answer(204, &json!({}))).await;
    let cluster = TestCluster::with(3, &[ON, SHORT, &backend.hook("facts=session.*+user.*")]).await;
    for round in 0..3 {
        let ana = cluster.client_on(round, "ana").await;
        ana.join("kitchen").await;
        ana.cut();
    }
    let calls = backend.called(8).await;
    let log =
        until(&cluster, "/v1/facts?type=session.*,user.*", |log| log["facts"].as_array().unwrap().len() == 8).await;
    let bodies: Vec<&Value> = calls.iter().map(|call| &call.body).collect();
    assert_eq!(bodies, log["facts"].as_array().unwrap().iter().collect::<Vec<_>>());
    for call in &calls {
        assert!(call.is_signed_with(SECRETS[0]));
        assert_eq!(call.header("webhook-id"), call.body["id"]);
    }
    let status = until(&cluster, "/v1/hooks", |hooks| hooks["hooks"][0]["delivery"]["waiting"] == 0).await;
    let delivery = json!({ "waiting": 0, "parked": 0, "dead": 0, "dropped": 0 });
    assert_eq!(status["hooks"][0]["delivery"], delivery);
    assert_eq!(backend.calls().len(), 8, "each once");
}

#[tokio::test]
async fn a_hook_that_was_down_misses_nothing_and_disturbs_no_other() {
    let status = Arc::new(AtomicU16::new(503));
    let shown = Arc::clone(&status);
    let bad = Backend::new(move |_| {
        let status = shown.load(Ordering::Relaxed);
        async move { answer(status, &json!({})) }
    })
    .await;
    let good = Backend::new(async |_| answer(200, &json!({}))).await;
    let hooks =
        crate::harness::hooks_setting(&[bad.rule("bad", "facts=session.*"), good.rule("good", "facts=session.*")]);
    let cluster = TestCluster::with(2, &[ON, &hooks]).await;
    for n in 0..10 {
        cluster.client_on(n % 2, &*format!("user-{n}")).await.cut();
    }
    good.called(20).await;
    bad.called(2).await;
    let paused = |hooks: &Value| hooks["hooks"][0]["delivery"]["pausedUntil"].is_string();
    let hooks = until(&cluster, "/v1/hooks", paused).await;
    assert_eq!(hooks["hooks"][0]["delivery"]["parked"], 0);
    assert_eq!(hooks["hooks"][1]["delivery"].get("pausedUntil"), None);
    status.store(200, Ordering::Relaxed);
    let done = until(&cluster, "/v1/hooks", |hooks| hooks["hooks"][0]["delivery"]["waiting"] == 0).await;
    assert_eq!(done["hooks"][0]["delivery"].get("pausedUntil"), None);
    for n in 0..10 {
        let user = json!(format!("user-{n}"));
        let of_user = |backend: &Backend| {
            let calls = backend.calls().into_iter().map(|call| call.body);
            let mut bodies: Vec<Value> = calls.filter(|body| body["data"]["user"] == user).collect();
            bodies.dedup();
            bodies
        };
        assert_eq!(of_user(&good).len(), 2);
        assert_eq!(of_user(&bad), of_user(&good), "the same, in the same order");
    }
}

#[tokio::test]
async fn a_fact_that_is_refused_delays_only_its_user() {
    let refused = Arc::new(AtomicU16::new(422));
    let shown = Arc::clone(&refused);
    let backend = Backend::new(move |call| {
        let status = if call.body["data"]["user"] == "eve" { shown.load(Ordering::Relaxed) } else { 200 };
        async move { answer(status, &json!({})) }
    })
    .await;
    let cluster = TestCluster::with(1, &[ON, &backend.hook("facts=session.*")]).await;
    for user in ["eve", "ana", "bob"] {
        cluster.client(user).await.cut();
    }
    // The others' facts are delivered although those of one user are parked.
    let only_hers = |hooks: &Value| {
        let delivery = &hooks["hooks"][0]["delivery"];
        delivery["parked"] == 2 && delivery["waiting"] == 0
    };
    until(&cluster, "/v1/hooks", only_hers).await;
    let of = |user: &str| {
        let calls = backend.calls().into_iter().map(|call| call.body);
        let of_user = calls.filter(|body| body["data"]["user"] == user);
        of_user.map(|body| body["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((of("ana").len(), of("bob").len()), (2, 2));
    assert!(of("eve").iter().all(|name| name == "session.started"), "its end waits behind its start");
    refused.store(200, Ordering::Relaxed);
    until(&cluster, "/v1/hooks", |hooks| hooks["hooks"][0]["delivery"]["parked"] == 0).await;
    assert_eq!(of("eve").last().unwrap(), "session.ended");
    assert_eq!(get(&cluster, "/v1/hooks/h/dead").await, json!({ "dead": [] }));
    let answer = call(&cluster, 0, API_KEY, (Method::POST, "/v1/hooks/h/dead/retry"), "{}", &[]).await;
    assert_eq!(json_of(&answer), json!({ "retried": 0 }));
}

#[tokio::test]
async fn hooks_that_would_get_nothing_are_refused_at_start() {
    let backend = Backend::new(async |_| answer(200, &json!({}))).await;
    let start = |set: &[String]| {
        let settings = load::<GatewaySettings>(&Sources { overrides: set.to_vec(), ..Sources::default() }).unwrap();
        let keys = KeySource::Secret("0".repeat(32));
        let gateway = Gateway::build_in(&MemoryCluster::new(settings.terms()), settings, keys, &Lifecycle::new());
        gateway.map(drop).map_err(|error| error.to_string())
    };
    let hook = backend.hook("facts=session.*+room.left");
    let text = |text: &str| text.to_owned();
    assert_eq!(start(&[text("facts=session.ended,room.*"), hook.clone()]), Ok(()));
    let error = start(std::slice::from_ref(&hook)).unwrap_err();
    assert!(error.contains("hook h wants facts `session.*`, which setting `facts` does not record"), "{error}");
    let error = start(&[text("facts=session.*"), hook]).unwrap_err();
    assert!(error.contains("`room.left`"), "{error}");
    let error = start(&[text("facts=on"), backend.hook("facts=user.gone")]).unwrap_err();
    assert!(error.contains("no fact is named `user.gone`"), "{error}");
    let error = start(&[text("facts=all")]).unwrap_err();
    assert!(error.contains("setting `facts`: `all`"), "{error}");
}
