//! `/v1/batch`: many calls in one.

use axum::http::Method;
use serde_json::{Value, json};

use crate::harness::{API_KEY, TestCluster, call, json_of, once};

fn emit(n: usize) -> Value {
    let body = json!({ "event": "n", "data": { "n": n }, "to": { "user": "ana" } });
    json!({ "method": "POST", "path": "/v1/emit", "body": body })
}

fn statuses(answer: &Value) -> Vec<u64> {
    answer["results"].as_array().unwrap().iter().map(|result| result["status"].as_u64().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn calls_run_in_their_order_each_with_its_own_answer() {
    let cluster = TestCluster::nodes(3).await;
    let client = cluster.client_on(0, "ana").await;
    let mut calls: Vec<Value> = (0..997).map(emit).collect();
    calls.push(json!({ "method": "POST", "path": "/v1/rooms/r/messages", "body": { "content": "hello" } }));
    calls.push(json!({ "method": "POST", "path": "/v1/emit", "body": { "event": "connect", "to": { "user": "u" } } }));
    calls.push(json!({ "method": "POST", "path": "/v1/users/a%20b/disconnect", "body": {} }));
    let answer = cluster.post(1, "/v1/batch", &json!({ "calls": calls })).await;
    let expected = [vec![202; 997], vec![201, 400, 202]].concat();
    assert_eq!(statuses(&answer), expected);
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results[0]["body"], json!({ "delivered": 1 }));
    assert!(results[997]["body"]["messageId"].is_string());
    assert_eq!(results[998]["body"]["code"], "validation_failed");
    cluster.quiet().await;
    let received: Vec<_> = client.all("n").iter().map(|data| data["n"].as_u64().unwrap()).collect();
    assert_eq!(received, (0..997).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn each_call_needs_its_own_scope() {
    // The SHA-256 of "secret".
    let hash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    let cluster = TestCluster::with(1, &[&format!("api.keys=small:emit:{hash}")]).await;
    let calls = json!({ "calls": [
        emit(1),
        { "method": "POST", "path": "/v1/rooms/r/messages", "body": { "content": "x" } },
        { "method": "POST", "path": "/v1/rooms/r/join", "body": { "users": ["u"] } },
    ] });
    let answer = call(&cluster, 0, "secret", (Method::POST, "/v1/batch"), calls.to_string(), &[]).await;
    assert_eq!(statuses(&json_of(&answer)), [202, 403, 403]);
    let without = call(&cluster, 0, "", (Method::POST, "/v1/batch"), calls.to_string(), &[]).await;
    assert_eq!(without.status().as_u16(), 401);
}

#[tokio::test(start_paused = true)]
async fn keys_of_the_batch_and_of_its_calls() {
    let cluster = TestCluster::nodes(3).await;
    let client = cluster.client_on(0, "ana").await;
    let notify = json!({ "title": "t", "message": "m", "type": "t" });
    let mut own = emit(1);
    own["idempotencyKey"] = "own".into();
    let calls = json!({ "calls": [
        own, own, { "method": "POST", "path": "/v1/users/ana/notifications", "body": notify },
    ] });
    let first = once(&cluster, 1, "/v1/batch", &calls, "batch").await;
    assert_eq!(statuses(&json_of(&first)), [202, 202, 201]);
    let again = once(&cluster, 2, "/v1/batch", &calls, "batch").await;
    assert_eq!(json_of(&again), json_of(&first));
    cluster.quiet().await;
    assert_eq!((client.all("n").len(), client.all("notification:new").len()), (1, 1));
    // Under another key the batch is another one, but not the calls with keys of their own.
    once(&cluster, 1, "/v1/batch", &calls, "other").await;
    cluster.quiet().await;
    assert_eq!((client.all("n").len(), client.all("notification:new").len()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn paths_are_those_of_post_endpoints() {
    let cluster = TestCluster::nodes(1).await;
    for (path, expected) in [
        ("/v1/batch", None),
        ("/v2/emit", None),
        ("/v1/", None),
        ("v1/emit", None),
        ("/v1/emit?x=1", None),
        ("/v1/../emit", Some(404)),
        ("/v1/nowhere", Some(404)),
        ("/v1/stats", Some(404)),
        ("/v1/openapi.json", Some(404)),
        ("/v1//batch", Some(404)),
        ("/v1/%62atch", Some(404)),
        ("/v1/batch/", Some(404)),
    ] {
        let calls = json!({ "calls": [{ "method": "POST", "path": path, "body": {} }] });
        let (status, answer) = cluster.call(0, Method::POST, "/v1/batch", &calls).await;
        match expected {
            None => assert_eq!((status.as_u16(), &answer["code"]), (400, &json!("validation_failed")), "{path}"),
            Some(expected) => {
                assert_eq!(statuses(&answer), [expected], "{path}");
                assert_eq!(answer["results"][0]["body"]["code"], "not_found");
            }
        }
    }
    for wrong in [
        json!({}),
        json!({ "calls": [] }),
        json!({ "calls": vec![emit(1); 1_001] }),
        json!({ "calls": [{ "method": "GET", "path": "/v1/emit", "body": {} }] }),
        json!({ "calls": [{ "method": "POST", "path": "/v1/emit" }] }),
        json!({ "calls": [{ "method": "POST", "path": "/v1/emit", "body": [] }] }),
        json!({ "calls": [{ "method": "POST", "path": "/v1/emit", "body": {}, "idempotencyKey": "a b" }] }),
    ] {
        let (status, answer) = cluster.call(0, Method::POST, "/v1/batch", &wrong).await;
        assert_eq!((status.as_u16(), &answer["code"]), (400, &json!("validation_failed")), "{wrong}");
    }
    let answer = call(&cluster, 0, API_KEY, (Method::GET, "/v1/batch"), "", &[]).await;
    assert_eq!(answer.status().as_u16(), 405);
}
