//! Calls at the same time, whose order must not matter.

use futures_util::future::join_all;
use jackfield_cluster::revocations::{About, Revocations};
use serde_json::json;

use crate::harness::{
    Database, Reply, TestServer, on_both,
    revocations::{entries, list},
};

const PASSWORD: &str = "P44sw0rd";
const NEW: &str = "N3w-pass";
const ROUNDS: usize = 12;
/// Of one token, at the same time.
const REFRESHES: usize = 1_000;

on_both!(
    of_a_thousand_refreshes_of_one_token_all_get_the_same_successor,
    no_refresh_survives_a_logout,
    no_refresh_survives_a_deactivation,
    no_sign_in_with_the_old_password_survives_its_change,
    no_sign_in_survives_a_deactivation,
    of_two_administrators_one_remains,
    the_last_change_of_roles_is_the_last_entry,
);

async fn of_a_thousand_refreshes_of_one_token_all_get_the_same_successor(database: Database) {
    let plan = || TestServer::on(&database).set("database.connections=20");
    let (one, other) = tokio::join!(plan().start(), plan().start());
    let ann = one.register("ann@mail.com").await.ok(201);
    let servers = [&one, &other];
    let replies = join_all((0..REFRESHES).map(|number| servers[number % 2].refresh(ann.refresh_token()))).await;
    let (successors, late): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 200);
    assert!(!successors.is_empty());
    assert!(successors.iter().all(|reply| reply.refresh_token() == successors[0].refresh_token()));
    // On a slow machine some come after the overlap, and the first of those ends the login.
    for reply in &late {
        assert_eq!((reply.status.as_u16(), reply.body["code"].as_str()), (401, Some("invalid_refresh_token")));
    }
    if late.is_empty() {
        assert_eq!(database.count("SELECT number FROM logins").await, 1, "rotated once");
        one.refresh(successors[0].refresh_token()).await.ok(200);
        one.check_status(ann.token()).await.ok(200);
    }
    println!("{} got the successor, {} came late", successors.len(), late.len());
}

/// The tokens of an answer, if it has any, are over: the service refuses them, and gateways were told for long enough.
async fn assert_over(server: &TestServer, list: &Revocations, reply: &Reply) {
    if !reply.status.is_success() {
        return;
    }
    let (claims, status) = (reply.claims(), server.check_status(reply.token()).await);
    assert_eq!(status.status, 401, "{}", status.text);
    server.refresh(reply.refresh_token()).await.error(401, "invalid_refresh_token");
    let covers = |about: &About| matches!(about, About::Login { id } if **id == *claims.sid);
    let recorded = entries(list).await;
    let entry = recorded.iter().find(|entry| covers(&entry.about)).unwrap();
    assert!(entry.until >= claims.exp, "{entry:?} {claims:?}");
}

async fn no_refresh_survives_a_logout(database: Database) {
    let list = list();
    let server = TestServer::on(&database).revoking_in(&list).start().await;
    let mut ann = server.register("ann@mail.com").await.ok(201);
    for _ in 0..ROUNDS {
        let (refreshed, renewed, logout) = tokio::join!(
            server.refresh(ann.refresh_token()),
            server.check_status(ann.token()),
            server.logout(ann.token())
        );
        logout.ok(204);
        assert!([200, 401].contains(&refreshed.status.as_u16()) && [200, 401].contains(&renewed.status.as_u16()));
        assert_over(&server, &list, &ann).await;
        assert_over(&server, &list, &refreshed).await;
        ann = server.login("ann@mail.com", PASSWORD).await.ok(200);
    }
}

async fn no_refresh_survives_a_deactivation(database: Database) {
    let list = list();
    let server = TestServer::on(&database).seeded().revoking_in(&list).start().await;
    let admin = server.login("test1@mail.com", "test123").await.ok(200);
    let mut ann = server.register("ann@mail.com").await.ok(201);
    let set = |is_active: bool| json!({ "isActive": is_active });
    for _ in 0..ROUNDS {
        let (off, on) = (set(false), set(true));
        let (refreshed, changed) =
            tokio::join!(server.refresh(ann.refresh_token()), server.patch_user(admin.token(), ann.user_id(), &off));
        changed.ok(200);
        server.patch_user(admin.token(), ann.user_id(), &on).await.ok(200);
        assert_over(&server, &list, &ann).await;
        assert_over(&server, &list, &refreshed).await;
        ann = server.login("ann@mail.com", PASSWORD).await.ok(200);
    }
}

async fn no_sign_in_with_the_old_password_survives_its_change(database: Database) {
    let list = list();
    let server = TestServer::on(&database).revoking_in(&list).set("login.failures=0").start().await;
    let own = server.register("ann@mail.com").await.ok(201);
    let (mut old, mut new) = (PASSWORD, NEW);
    for _ in 0..ROUNDS {
        let (changed, login) =
            tokio::join!(server.change_password(own.token(), old, new), server.login("ann@mail.com", old));
        changed.ok(204);
        assert!([200, 401].contains(&login.status.as_u16()), "{}", login.text);
        assert_over(&server, &list, &login).await;
        (old, new) = (new, old);
    }
    server.check_status(own.token()).await.ok(200);
    assert_eq!(database.count("SELECT count(*) FROM logins WHERE ended_at IS NULL").await, 1);
}

async fn no_sign_in_survives_a_deactivation(database: Database) {
    let list = list();
    let server = TestServer::on(&database).seeded().revoking_in(&list).start().await;
    let admin = server.login("test1@mail.com", "test123").await.ok(200);
    let ann = server.register("ann@mail.com").await.ok(201);
    for _ in 0..ROUNDS {
        let (off, on) = (json!({ "isActive": false }), json!({ "isActive": true }));
        let (login, changed) =
            tokio::join!(server.login("ann@mail.com", PASSWORD), server.patch_user(admin.token(), ann.user_id(), &off));
        changed.ok(200);
        assert!(login.status == 200 || login.body["code"] == "user_inactive", "{}", login.text);
        assert_eq!(open_logins(&database, ann.user_id()).await, 0);
        assert_over(&server, &list, &login).await;
        server.patch_user(admin.token(), ann.user_id(), &on).await.ok(200);
    }
}

async fn open_logins(database: &Database, user: &str) -> i64 {
    database.count(&format!("SELECT count(*) FROM logins WHERE ended_at IS NULL AND user_id = '{user}'")).await
}

async fn of_two_administrators_one_remains(database: Database) {
    let server = TestServer::on(&database).seeded().set("register.perAddress=0").start().await;
    for round in 0..ROUNDS {
        let one = server.login("test1@mail.com", "test123").await.ok(200);
        let other = server.login("test2@mail.com", "test123").await.ok(200);
        let body = if round % 2 == 0 { json!({ "isActive": false }) } else { json!({ "roles": ["USER"] }) };
        let (first, second) = tokio::join!(
            server.patch_user(one.token(), other.user_id(), &body),
            server.patch_user(other.token(), one.user_id(), &body)
        );
        let mut statuses = [first.status.as_u16(), second.status.as_u16()];
        statuses.sort_unstable();
        assert!(statuses == [200, 401] || statuses == [200, 403], "{statuses:?}");
        server.get("/api/seed").await.ok(200);
    }
}

async fn the_last_change_of_roles_is_the_last_entry(database: Database) {
    let list = list();
    let server = TestServer::on(&database).seeded().revoking_in(&list).start().await;
    let admin = server.login("test1@mail.com", "test123").await.ok(200);
    let ann = server.register("ann@mail.com").await.ok(201);
    for _ in 0..ROUNDS {
        let (one, other) = (json!({ "roles": ["USER"] }), json!({ "roles": ["ADMIN"] }));
        let change = |body| server.patch_user(admin.token(), ann.user_id(), body);
        let (first, second) = tokio::join!(change(&one), change(&other));
        first.ok(200);
        second.ok(200);
        let roles = server.check_status(ann.token()).await.ok(200).claims().roles;
        let recorded = entries(&list).await;
        let About::Roles { roles: told, .. } = &recorded.last().unwrap().about else { panic!("{recorded:?}") };
        assert_eq!(told.iter().map(|role| &**role).collect::<Vec<_>>(), [roles[0].as_str()]);
    }
}
