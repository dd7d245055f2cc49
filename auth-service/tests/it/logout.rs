//! Logout: what ends, and what gateways are told.

use std::collections::BTreeSet;

use serde_json::json;

use crate::harness::{
    Database, TestServer, on_both,
    revocations::{entries, list, of_login},
};

const PASSWORD: &str = "P44sw0rd";

on_both!(
    a_logout_ends_its_login_and_no_other,
    a_logout_everywhere_ends_all_logins_of_the_user,
    an_entry_covers_every_token_of_the_login,
    logins_without_tokens_need_no_entry,
    a_logout_needs_a_token_and_a_valid_body,
    logouts_of_one_user_are_limited,
    a_reset_of_the_demo_users_ends_their_logins,
);

async fn a_logout_ends_its_login_and_no_other(database: Database) {
    let list = list();
    let server = TestServer::on(&database).revoking_in(&list).start().await;
    let one = server.register("ann@mail.com").await.ok(201);
    let other = server.login("ann@mail.com", PASSWORD).await.ok(200);
    assert_eq!(server.logout(one.token()).await.ok(204).text, "");
    server.refresh(one.refresh_token()).await.error(401, "invalid_refresh_token");
    server.check_status(one.token()).await.error(401, "invalid_token");
    server.logout(one.token()).await.error(401, "invalid_token");
    server.check_status(other.token()).await.ok(200);
    server.refresh(other.refresh_token()).await.ok(200);
    let claims = one.claims();
    assert_eq!(entries(&list).await, [of_login(&claims.sub, &claims.sid, "logout", claims.exp)]);
}

async fn a_logout_everywhere_ends_all_logins_of_the_user(database: Database) {
    let list = list();
    let server = TestServer::on(&database).revoking_in(&list).start().await;
    let mut own = vec![server.register("ann@mail.com").await.ok(201)];
    for _ in 0..3 {
        own.push(server.login("ann@mail.com", PASSWORD).await.ok(200));
    }
    let bystander = server.register("bob@mail.com").await.ok(201);
    server.logout_everywhere(own[1].token()).await.ok(204);
    for reply in &own {
        server.refresh(reply.refresh_token()).await.error(401, "invalid_refresh_token");
        server.check_status(reply.token()).await.error(401, "invalid_token");
    }
    server.check_status(bystander.token()).await.ok(200);
    let text = |entry| format!("{entry:?}");
    let expected = own.iter().map(|reply| {
        let claims = reply.claims();
        text(of_login(&claims.sub, &claims.sid, "logout", claims.exp))
    });
    let recorded: BTreeSet<_> = entries(&list).await.into_iter().map(text).collect();
    assert_eq!(recorded, expected.collect());
    server.login("ann@mail.com", PASSWORD).await.ok(200);
}

async fn an_entry_covers_every_token_of_the_login(database: Database) {
    let list = list();
    let server = TestServer::on(&database).revoking_in(&list).start().await;
    let first = server.register("ann@mail.com").await.ok(201);
    // A second later, so that the tokens expire later.
    while server.check_status(first.token()).await.ok(200).claims().exp == first.claims().exp {}
    let last = server.refresh(first.refresh_token()).await.ok(200).claims();
    server.logout(first.token()).await.ok(204);
    assert!(last.exp > first.claims().exp);
    assert_eq!(entries(&list).await, [of_login(&last.sub, &last.sid, "logout", last.exp)]);
}

async fn logins_without_tokens_need_no_entry(database: Database) {
    let list = list();
    let server = TestServer::on(&database).revoking_in(&list).start().await;
    let old = server.register("ann@mail.com").await.ok(201);
    let past = if database.is_sqlite() { "'2020-01-01T00:00:00.000Z'" } else { "'2020-01-01T00:00:00Z'" };
    database.execute(&format!("UPDATE logins SET tokens_until = {past}")).await;
    let new = server.login("ann@mail.com", PASSWORD).await.ok(200);
    server.logout_everywhere(new.token()).await.ok(204);
    let claims = new.claims();
    assert_eq!(entries(&list).await, [of_login(&claims.sub, &claims.sid, "logout", claims.exp)]);
    server.refresh(old.refresh_token()).await.error(401, "invalid_refresh_token");
}

async fn a_logout_needs_a_token_and_a_valid_body(database: Database) {
    let server = TestServer::on(&database).start().await;
    let ann = server.register("ann@mail.com").await.ok(201);
    let path = server.url("/api/auth/logout");
    server.send(server.http.post(&path)).await.error(401, "invalid_token");
    server.send(server.http.post(&path).bearer_auth(ann.refresh_token())).await.error(401, "invalid_token");
    for body in [json!({ "everywhere": 1 }), json!({ "all": true }), json!([])] {
        server.post_as(ann.token(), "/api/auth/logout", &body).await.error(400, "validation_failed");
    }
    let text = server.http.post(&path).bearer_auth(ann.token()).header("content-type", "text/plain").body("{}");
    server.send(text).await.error(415, "unsupported_media_type");
    let large = server.http.post(&path).bearer_auth(ann.token()).json(&json!({ "x": "x".repeat(17_000) }));
    server.send(large).await.error(413, "payload_too_large");
    server.check_status(ann.token()).await.ok(200);
    server.post_as(ann.token(), "/api/auth/logout/", &json!({})).await.ok(204);
}

async fn logouts_of_one_user_are_limited(database: Database) {
    let list = list();
    let server = TestServer::on(&database).revoking_in(&list).start().await;
    server.register("ann@mail.com").await.ok(201);
    let bob = server.register("bob@mail.com").await.ok(201);
    let mut logouts = 0;
    loop {
        let login = server.login("ann@mail.com", PASSWORD).await.ok(200);
        let reply = server.logout(login.token()).await;
        if reply.status == 429 {
            assert!((1..=9).contains(&reply.header("retry-after").parse::<u64>().unwrap()));
            server.check_status(login.token()).await.ok(200);
            break;
        }
        reply.ok(204);
        logouts += 1;
    }
    // One comes back every 9 s.
    assert!((100..110).contains(&logouts), "{logouts}");
    assert_eq!(entries(&list).await.len(), logouts);
    server.logout(bob.token()).await.ok(204);
}

async fn a_reset_of_the_demo_users_ends_their_logins(database: Database) {
    let list = list();
    let server = TestServer::on(&database).seeded().revoking_in(&list).start().await;
    let demo = server.login("test1@mail.com", "test123").await.ok(200);
    let other = server.register("ann@mail.com").await.ok(201);
    server.get("/api/seed").await.ok(200);
    server.check_status(demo.token()).await.error(401, "invalid_token");
    server.refresh(demo.refresh_token()).await.error(401, "invalid_refresh_token");
    server.check_status(other.token()).await.ok(200);
    let claims = demo.claims();
    let recorded = entries(&list).await;
    assert_eq!(recorded[0], of_login(&claims.sub, &claims.sid, "reset", claims.exp));
    assert_eq!(recorded.len(), 5, "and that both are active, with their first roles");
    server.login("test1@mail.com", "test123").await.ok(200);
}
