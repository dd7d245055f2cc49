//! A change of the password.

use serde_json::json;

use crate::harness::{
    Database, TestServer, on_both,
    revocations::{entries, list, of_login},
};

const OLD: &str = "P44sw0rd";
const NEW: &str = "N3w-pass";

on_both!(
    a_changed_password_ends_every_other_login,
    a_wrong_password_changes_nothing_and_counts_as_a_failed_sign_in,
    a_new_password_follows_the_rules,
);

async fn a_changed_password_ends_every_other_login(database: Database) {
    let list = list();
    let server = TestServer::on(&database).revoking_in(&list).start().await;
    let other = server.register("ann@mail.com").await.ok(201);
    let own = server.login("ann@mail.com", OLD).await.ok(200);
    let bystander = server.register("bob@mail.com").await.ok(201);
    assert_eq!(server.change_password(own.token(), OLD, NEW).await.ok(204).text, "");
    server.check_status(own.token()).await.ok(200);
    server.refresh(own.refresh_token()).await.ok(200);
    server.check_status(bystander.token()).await.ok(200);
    server.check_status(other.token()).await.error(401, "invalid_token");
    server.refresh(other.refresh_token()).await.error(401, "invalid_refresh_token");
    server.login("ann@mail.com", OLD).await.error(401, "invalid_credentials");
    server.login("ann@mail.com", NEW).await.ok(200);
    let claims = other.claims();
    assert_eq!(entries(&list).await, [of_login(&claims.sub, &claims.sid, "password_changed", claims.exp)]);
}

async fn a_wrong_password_changes_nothing_and_counts_as_a_failed_sign_in(database: Database) {
    let list = list();
    let server = TestServer::on(&database).revoking_in(&list).set("login.failures=2").start().await;
    let other = server.register("ann@mail.com").await.ok(201);
    let own = server.login("ann@mail.com", OLD).await.ok(200);
    for _ in 0..2 {
        server.change_password(own.token(), "wrong", NEW).await.error(401, "invalid_credentials");
    }
    server.change_password(own.token(), OLD, NEW).await.error(429, "too_many_attempts");
    server.login("ann@mail.com", OLD).await.error(429, "too_many_attempts");
    server.check_status(other.token()).await.ok(200);
    assert!(entries(&list).await.is_empty());
}

async fn a_new_password_follows_the_rules(database: Database) {
    let server = TestServer::on(&database).start().await;
    let ann = server.register("ann@mail.com").await.ok(201);
    let refused = server.change_password(ann.token(), OLD, "abc").await.error(400, "validation_failed");
    assert_eq!(
        refused.body["message"],
        json!([
            "new must be longer than or equal to 6 characters",
            "new must have an upper-case letter, a lower-case letter, and a digit or a symbol",
        ])
    );
    let body = json!({ "current": OLD });
    server.post_as(ann.token(), "/api/auth/password", &body).await.error(400, "validation_failed");
    let body = json!({ "current": OLD, "new": NEW });
    server.post("/api/auth/password", &body).await.error(401, "invalid_token");
    server.post_as("x", "/api/auth/password", &body).await.error(401, "invalid_token");
    server.login("ann@mail.com", OLD).await.ok(200);
}
