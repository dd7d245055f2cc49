//! Redis does not answer, or refuses: calls that revoke tokens answer 503 and change nothing, all others work.

use jackfield_auth::logins::now;
use serde_json::json;

use crate::harness::{
    Database, RefusingRedis, Reply, TestServer, on_both,
    revocations::{entries, list, of_login},
};

const PASSWORD: &str = "P44sw0rd";

on_both!(
    without_redis_nothing_is_revoked_and_all_else_works,
    a_list_that_does_not_take_the_entries_undoes_what_was_begun,
    a_crash_between_the_steps_is_completed_by_the_next_call,
);

/// Every call that revokes tokens answers 503, and nothing has changed.
async fn assert_nothing_is_revoked(database: &Database, server: &TestServer) {
    let admin = server.login("test1@mail.com", "test123").await.ok(200);
    let email = format!("{}@mail.com", uuid::Uuid::new_v4());
    let ann = server.register(&email).await.ok(201);
    let other = server.login(&email, PASSWORD).await.ok(200);
    let state = async || {
        let (login, user) = database.logins().await.find(ann.claims().sid.parse().unwrap()).await.unwrap().unwrap();
        let account = database.users().await.find(user.id).await.unwrap().unwrap();
        (login.ended_at, login.number, account.user, account.password_hash)
    };
    let before = state().await;
    let unavailable = |reply: Reply| assert!(!reply.error(503, "unavailable").header("retry-after").is_empty());
    unavailable(server.logout(ann.token()).await);
    unavailable(server.logout_everywhere(ann.token()).await);
    unavailable(server.change_password(ann.token(), PASSWORD, "N3w-pass").await);
    for change in [json!({ "isActive": false }), json!({ "roles": ["ADMIN"] }), json!({ "isActive": true })] {
        unavailable(server.patch_user(admin.token(), ann.user_id(), &change).await);
    }
    unavailable(server.get("/api/seed").await);
    assert!(before == state().await);
    // A reuse is noticed again when Redis is back.
    let second = server.refresh(ann.refresh_token()).await.ok(200);
    let third = server.refresh(second.refresh_token()).await.ok(200);
    unavailable(server.refresh(ann.refresh_token()).await);
    server.refresh(third.refresh_token()).await.ok(200);
    for reply in [&ann, &other, &admin] {
        server.check_status(reply.token()).await.ok(200);
    }
    server.refresh("x").await.error(401, "invalid_refresh_token");
}

async fn without_redis_nothing_is_revoked_and_all_else_works(database: Database) {
    let server = TestServer::on(&database).seeded().without_redis().start().await;
    assert_nothing_is_revoked(&database, &server).await;
    let ready = server.get_internal("/readyz").await.ok(200);
    assert_eq!(ready.body["parts"], json!({ "database": true, "draining": false, "redis": false }));
}

async fn a_list_that_does_not_take_the_entries_undoes_what_was_begun(database: Database) {
    // The script's answer for a full list, an error of Redis, and a connection that is lost.
    for answer in [":1\r\n", "-OOM command not allowed when used memory > 'maxmemory'.\r\n", ""] {
        let redis = RefusingRedis::start(answer).await;
        let plan = TestServer::on(&database).seeded().set(&format!("redis.url={}", redis.url));
        let server = plan.start().await;
        assert_nothing_is_revoked(&database, &server).await;
        let ready = server.get_internal("/readyz").await.ok(200);
        assert_eq!(ready.body["parts"]["redis"], true, "{answer}");
    }
}

async fn a_crash_between_the_steps_is_completed_by_the_next_call(database: Database) {
    let list = list();
    let server = TestServer::on(&database).revoking_in(&list).start().await;
    let ann = server.register("ann@mail.com").await.ok(201);
    let claims = ann.claims();
    let entry = of_login(&claims.sub, &claims.sid, "logout", claims.exp);
    // The process ends after the entry was recorded, and before the commit.
    let mut change = database.logins().await.begin().await.unwrap();
    change.end_login(claims.sid.parse().unwrap(), now()).await.unwrap().unwrap();
    list.record(std::slice::from_ref(&entry)).await.unwrap();
    drop(change);
    // It may expire a second later than the first token, and the entry must cover it.
    let renewed = server.check_status(ann.token()).await.ok(200).claims();
    server.logout(ann.token()).await.ok(204);
    server.check_status(ann.token()).await.error(401, "invalid_token");
    assert_eq!(entries(&list).await, [of_login(&claims.sub, &claims.sid, "logout", renewed.exp)]);
}
