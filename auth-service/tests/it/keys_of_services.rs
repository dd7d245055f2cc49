//! Running services follow the stored keys.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use chrono::Utc;
use jackfield_auth::{StartError, keys::KeysError};
use jsonwebtoken::decode_header;

use crate::harness::{Database, Reply, TestServer, on_both};

on_both!(
    every_service_follows_a_rotation,
    a_token_ends_at_its_time_and_the_old_key_goes,
    a_restarted_service_opens_its_keys,
    services_rotate_when_it_is_due,
);

/// A service follows a change within a few seconds.
const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: &str = "keys.secret=0123456789-0123456789-0123456789";

pub fn kid(token: &str) -> String {
    decode_header(token).unwrap().kid.unwrap()
}

pub async fn key_set(server: &TestServer) -> Vec<String> {
    let set = server.get("/.well-known/jwks.json").await.ok(200).body;
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn every_service_follows_a_rotation(database: Database) {
    let servers = [TestServer::on(&database).start().await, TestServer::on(&database).start().await];
    let before = servers[0].register("ann@mail.com").await.ok(201).token().to_owned();
    let keys = key_set(&servers[0]).await;
    assert_eq!((keys.len(), &keys[0]), (2, &kid(&before)));

    database.age_next_key().await;
    let (rotation, next) = database.keys(&[]).await.rotate(Utc::now(), false).await.unwrap();
    assert_eq!((&rotation.retired, &rotation.promoted), (&keys[0], &keys[1]));
    let renewed = async |server: &TestServer| server.check_status(&before).await.ok(200).token().to_owned();
    for server in &servers {
        until("signs with the other key", async || kid(&renewed(server).await) == keys[1]).await;
        assert_eq!(key_set(server).await, [keys[1].as_str(), &next, &keys[0]]);
    }
    let after = renewed(&servers[0]).await;
    for server in &servers {
        server.check_status(&before).await.ok(200);
        server.check_status(&after).await.ok(200);
    }
}

async fn a_token_ends_at_its_time_and_the_old_key_goes(database: Database) {
    let server = TestServer::on(&database).set("token.lifetime=8s").start().await;
    let asked = Instant::now();
    let before = server.register("ann@mail.com").await.ok(201).token().to_owned();
    let old = kid(&before);
    database.age_next_key().await;
    database.keys(&["token.lifetime=8s"]).await.rotate(Utc::now(), false).await.unwrap();
    until("the old key is retired", async || key_set(&server).await.len() == 3).await;
    // It lasts for 7 to 8 seconds from its issue on.
    until("the token has ended", async || server.check_status(&before).await.status == 401).await;
    assert!(asked.elapsed() > Duration::from_secs(6), "{:?}", asked.elapsed());
    server.check_status(&before).await.error(401, "invalid_token");
    assert!(key_set(&server).await.contains(&old), "published for a little longer than its last token");

    let past = "UPDATE signing_keys SET ends_at = '2026-01-01T00:00:00.000Z' WHERE state = 'old'";
    assert_eq!(database.execute(past).await, 1);
    until("the old key is gone", async || !key_set(&server).await.contains(&old)).await;
    assert_eq!(database.execute(past).await, 0, "its row is deleted");
}

async fn a_restarted_service_opens_its_keys(database: Database) {
    let first = TestServer::on(&database).set(SECRET).start().await;
    let token = first.register("ann@mail.com").await.ok(201).token().to_owned();
    drop(first);
    TestServer::on(&database).set(SECRET).start().await.check_status(&token).await.ok(200);
    let wrong = format!("keys.secret={}", "wrong".repeat(9));
    for setting in ["keys.secret=", wrong.as_str()] {
        let error = TestServer::on(&database).set(setting).try_start().await.err().unwrap();
        let text = error.to_string();
        assert!(matches!(error, StartError::Keys(KeysError::Key(_))), "{text}");
        assert!(text.contains(&kid(&token)) || text.contains("signing key"), "{text}");
        assert!(
            text.contains("`keys.secret` (KEYS_SECRET or KEYS_SECRET_FILE)") && !text.contains("wrongwrong"),
            "{text}"
        );
    }
    let short = TestServer::on(&database).set("keys.secret=tooshort").try_start().await.err().unwrap().to_string();
    assert!(short.contains("`keys.secret` (KEYS_SECRET") && !short.contains("tooshort"), "{short}");
}

async fn services_rotate_when_it_is_due(database: Database) {
    let plan = || TestServer::on(&database).set("keys.rotateEvery=30d");
    let servers = [plan().start().await, plan().start().await];
    let token = servers[0].register("ann@mail.com").await.ok(201).token().to_owned();
    let keys = key_set(&servers[0]).await;
    database.age_next_key().await;
    let old = "UPDATE signing_keys SET current_since = '2026-01-01T00:00:00.000Z' WHERE state = 'current'";
    assert_eq!(database.execute(old).await, 1);
    for server in &servers {
        until("rotated", async || {
            let reply: Reply = server.check_status(&token).await.ok(200);
            kid(reply.token()) == keys[1]
        })
        .await;
        assert_eq!(key_set(server).await.len(), 3);
    }
}
