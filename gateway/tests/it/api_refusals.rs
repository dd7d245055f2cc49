//! Refused calls of the HTTP API: the error says why, and nothing is done.

use axum::http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::{API_KEY, TestCluster, User, call, json_of};

#[tokio::test(start_paused = true)]
async fn json_with_more_than_64_levels_which_client_libraries_cannot_parse_is_refused() {
    let cluster = TestCluster::many_sessions().await;
    let nested = |levels| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let notification = |data| format!(r#"{{"title":"t","message":"m","type":"info","data":{data}}}"#);
    let user = "/v1/users/ana/notifications";
    let deepest = call(&cluster, 0, API_KEY, (Method::POST, user), notification(nested(63)), &[]).await;
    assert_eq!(deepest.status(), 201);
    for levels in [64, 8_000] {
        let emit = format!(r#"{{"event":"x","data":{{"a":{}}},"to":{{"everyone":true}}}}"#, nested(levels));
        for (path, body) in [
            (user, notification(nested(levels))),
            ("/v1/feeds/productos", format!(r#"{{"type":"CREATE","data":{}}}"#, nested(levels))),
            ("/v1/emit", emit),
        ] {
            let answer = call(&cluster, 0, API_KEY, (Method::POST, path), body, &[]).await;
            let body = json_of(&answer);
            assert_eq!((answer.status().as_u16(), &body["code"]), (400, &json!("validation_failed")), "{path}");
            assert_eq!(body["message"], json!(["body must have at most 64 levels of objects and arrays"]), "{path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn errors_of_bad_calls_name_the_reason_and_nothing_is_done() {
    let cluster = TestCluster::many_sessions().await;
    let witness = cluster.client_on(1, "u").await;
    witness.join("r").await;
    let reader = cluster.stranger(2).at("/ws/v1/productos");
    reader.connect("/ws/v1/productos", &User::new("u").token());
    reader.next("connection").await;
    // The list of all sockets comes later than anything else.
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let before = (witness.events(), reader.events());

    let emit = |field: &str, value: Value| {
        let mut emit = json!({ "event": "x", "data": {}, "to": { "user": "u" } });
        emit[field] = value;
        emit
    };
    let too_many = json!({ "users": vec!["u"; 10_001] });
    for (path, body, status, reason) in [
        ("emit", emit("event", json!("")), 400, "event must have 1 to 128 characters"),
        ("emit", emit("event", json!("connect")), 400, "event must have 1 to 128 characters and be none of connect, "),
        ("emit", emit("to", json!({})), 400, "to: to must be {user}, {users}, "),
        ("emit", emit("to", json!({ "user": "" })), 400, "to.user must have 1 to 128 characters"),
        ("emit", emit("to", json!({ "users": [] })), 400, "to.users must have 1 to 10000 entries"),
        ("emit", emit("to", json!({ "users": ["a", ""] })), 400, "to.users[1] must have 1 to 128 characters"),
        ("emit", emit("to", too_many), 400, "to.users must have 1 to 10000 entries"),
        ("emit", emit("to", json!({ "room": "a b" })), 400, "room must be 1 to 64 letters, digits, _ . : or -"),
        ("emit", emit("to", json!({ "room": "r", "namespace": "/x" })), 400, "namespace must be one of /, /chat"),
        ("emit", emit("to", json!({ "everyone": false })), 400, "to.everyone must be true"),
        ("emit", emit("data", json!([])), 400, "data must be an object"),
        ("emit", emit("extra", json!(1)), 400, "property extra should not exist"),
        ("users/status", json!({ "userIds": [1] }), 400, "userIds[0] must be a string"),
        ("users/u/disconnect", json!({ "reason": "x".repeat(257) }), 400, "at most 256 characters in reason"),
        (
            "users/u/notifications",
            json!({ "title": "", "message": "m", "type": "info" }),
            400,
            "title must have 1 to 200 characters",
        ),
        ("rooms/user:1/messages", json!({ "content": "x" }), 400, "room must be 1 to 64 letters"),
        ("rooms/r/messages", json!({ "content": "" }), 400, "content must have 1 to 1000 characters"),
        ("feeds/unknown", json!({ "type": "CREATE", "data": 1 }), 404, "There is no such feed"),
        (
            "feeds/productos",
            json!({ "type": "REPLACE", "data": 1 }),
            400,
            "type must be one of `CREATE`, `UPDATE`, `DELETE`",
        ),
        ("nowhere", json!({}), 404, "Not found"),
    ] {
        let (answered, answer) = cluster.call(0, Method::POST, &format!("/v1/{path}"), &body).await;
        assert_eq!(answered, status, "{path}: {answer}");
        let message = if status == 400 { &answer["message"][0] } else { &answer["message"] };
        assert!(message.as_str().unwrap().starts_with(reason), "{path}: {answer}");
        assert_eq!(answer["code"], if status == 400 { "validation_failed" } else { "not_found" }, "{path}");
        assert_eq!(answer["message"].as_array().map_or(1, Vec::len), 1, "{path}: {answer}");
    }

    let good = emit("event", json!("x")).to_string();
    let post = (Method::POST, "/v1/emit");
    let cut = call(&cluster, 0, API_KEY, post.clone(), "{", &[]).await;
    assert_eq!((cut.status().as_u16(), &json_of(&cut)["message"]), (400, &json!(["body must be valid JSON"])));
    let text = call(&cluster, 0, API_KEY, post.clone(), good, &[("content-type", "text/plain")]).await;
    assert_eq!((text.status().as_u16(), &json_of(&text)["code"]), (415, &json!("unsupported_media_type")));
    let large = emit("data", json!({ "x": "x".repeat(3_000_000) })).to_string();
    let large = call(&cluster, 0, API_KEY, post, large, &[]).await;
    assert_eq!((large.status().as_u16(), &json_of(&large)["code"]), (413, &json!("payload_too_large")));
    let (status, odd) = cluster.call(0, Method::GET, "/v1/rooms/r/messages?limit=0", &Value::Null).await;
    assert_eq!((status.as_u16(), &odd["code"]), (400, &json!("validation_failed")));

    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!((witness.events(), reader.events()), before, "nothing was done");
    assert_eq!(cluster.get(0, "/v1/users/u/notifications").await["unreadCount"], 0);
    assert_eq!(cluster.get(0, "/v1/rooms/r/messages").await, json!({ "messages": [] }));
}

#[tokio::test(start_paused = true)]
async fn a_key_allows_only_calls_within_its_scopes_and_without_a_key_nothing_is_answered() {
    let sha256 = |key: &str| Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let keys = json!([
        format!("reader:read:{}", sha256("reading key")),
        format!("sender:emit+publish:{}", sha256("sending key")),
    ]);
    let cluster = TestCluster::with(1, &[&format!("api.keys={keys}")]).await;
    let witness = cluster.client("u").await;
    let emit = json!({ "event": "x", "data": {}, "to": { "user": "u" } }).to_string();
    let post = (Method::POST, "/v1/emit");
    let get = (Method::GET, "/v1/users/u");

    assert_eq!(call(&cluster, 0, "reading key", get.clone(), "", &[]).await.status(), 200);
    assert_eq!(call(&cluster, 0, "sending key", post.clone(), emit.clone(), &[]).await.status(), 202);
    witness.next("x").await;
    for (answer, scope) in [
        (call(&cluster, 0, "reading key", post.clone(), emit.clone(), &[]).await, "emit"),
        (call(&cluster, 0, "sending key", get, "", &[]).await, "read"),
    ] {
        let body = json_of(&answer);
        assert_eq!((answer.status().as_u16(), &body["code"]), (403, &json!("need_scope")));
        assert_eq!(body["message"], format!("The API key must have the scope {scope}"));
    }
    for key in ["", "reading", "reading keys", &sha256("reading key"), API_KEY] {
        for headers in [&[][..], &[("idempotency-key", "k")]] {
            let answer = call(&cluster, 0, key, post.clone(), emit.clone(), headers).await;
            assert_eq!(
                (answer.status().as_u16(), &json_of(&answer)["code"]),
                (401, &json!("invalid_api_key")),
                "{key}"
            );
        }
    }
    cluster.quiet().await;
    assert_eq!(witness.all("x").len(), 1);
}
