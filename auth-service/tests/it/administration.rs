//! The administration of users: who may, what changes, and what gateways are told.

use jackfield_auth::rules::Email;
use jackfield_cluster::revocations::{About, Entry};
use jackfield_shared::{claims::Role, time::unix_now};
use serde_json::{Value, json};

use crate::harness::{
    Database, Reply, TestServer, on_both,
    revocations::{entries, list, of_login},
};

const PASSWORD: &str = "P44sw0rd";
const LIFETIME: u64 = 7_200;

on_both!(
    only_administrators_may,
    the_current_roles_decide_and_not_those_of_the_token,
    users_are_listed_page_by_page,
    a_deactivation_ends_all_logins,
    a_reactivated_user_signs_in_again,
    changed_roles_are_in_the_next_token,
    names_are_changed,
    invalid_changes_are_refused,
    nobody_locks_himself_out,
);

/// The demo administrator, signed in.
async fn administrator(server: &TestServer) -> Reply {
    server.login("test1@mail.com", "test123").await.ok(200)
}

/// An entry whose end is within a few seconds of `until`, with exactly that end.
#[track_caller]
fn ends_about(mut entry: Entry, until: u64) -> Entry {
    assert!(entry.until.abs_diff(until) < 20, "{entry:?}, expected about {until}");
    entry.until = until;
    entry
}

async fn only_administrators_may(database: Database) {
    let server = TestServer::on(&database).seeded().start().await;
    let ann = server.register("ann@mail.com").await.ok(201);
    let change = json!({ "fullName": "Other" });
    server.get("/api/users").await.error(401, "invalid_token");
    server.get_as(ann.token(), "/api/users").await.error(403, "need_role");
    server.patch_user(ann.token(), ann.user_id(), &change).await.error(403, "need_role");
    server.patch_user(ann.token(), ann.user_id(), &json!({ "x": 1 })).await.error(403, "need_role");
    let admin = administrator(&server).await;
    server.patch_user(admin.token(), ann.user_id(), &json!({ "roles": ["SUPERUSER"] })).await.ok(200);
    server.get_as(ann.token(), "/api/users").await.ok(200);
    server.logout(admin.token()).await.ok(204);
    server.get_as(admin.token(), "/api/users").await.error(401, "invalid_token");
}

async fn the_current_roles_decide_and_not_those_of_the_token(database: Database) {
    let server = TestServer::on(&database).seeded().start().await;
    let (one, other) = (administrator(&server).await, server.login("test2@mail.com", "test123").await.ok(200));
    server.patch_user(one.token(), other.user_id(), &json!({ "roles": ["USER"] })).await.ok(200);
    assert!(other.claims().roles.contains(&Role::Admin));
    server.get_as(other.token(), "/api/users").await.error(403, "need_role");
    server.patch_user(other.token(), one.user_id(), &json!({ "isActive": false })).await.error(403, "need_role");
}

async fn users_are_listed_page_by_page(database: Database) {
    let server = TestServer::on(&database).seeded().start().await;
    for number in 0..5 {
        server.register(&format!("user{number}@mail.com")).await.ok(201);
    }
    let admin = administrator(&server).await;
    let page = async |query: &str| server.get_as(admin.token(), &format!("/api/users{query}")).await.ok(200).body;
    let whole = page("").await;
    let all = whole["users"].as_array().unwrap();
    assert_eq!((all.len(), &whole["cursor"]), (7, &Value::Null));
    assert_eq!(whole.as_object().unwrap().len(), 2);
    assert!(all.contains(&admin.body["user"]) && all.is_sorted_by_key(|user| user["id"].as_str().unwrap().to_owned()));
    let (mut found, mut query) = (Vec::new(), "?limit=3".to_owned());
    loop {
        let next = page(&query).await;
        found.extend(next["users"].as_array().unwrap().clone());
        let Some(cursor) = next["cursor"].as_str() else { break };
        assert_eq!(found.len() % 3, 0);
        query = format!("?limit=3&cursor={cursor}");
    }
    assert_eq!(&found, all);
    assert_eq!(page("?limit=7").await["cursor"], Value::Null);
    for bad in ["?limit=0", "?limit=101", "?limit=x", "?limit=-1", "?cursor=x", "?page=2", "?limit=1&limit=2"] {
        server.get_as(admin.token(), &format!("/api/users{bad}")).await.error(400, "validation_failed");
    }
}

async fn a_deactivation_ends_all_logins(database: Database) {
    let list = list();
    let server = TestServer::on(&database).seeded().revoking_in(&list).start().await;
    let (admin, ann) = (administrator(&server).await, server.register("ann@mail.com").await.ok(201));
    let body = json!({ "isActive": false });
    let changed = server.patch_user(admin.token(), ann.user_id(), &body).await.ok(200);
    let mut expected = ann.body["user"].clone();
    expected["isActive"] = false.into();
    assert_eq!(changed.body, expected);
    server.check_status(ann.token()).await.error(401, "user_inactive");
    server.logout(ann.token()).await.error(401, "user_inactive");
    server.refresh(ann.refresh_token()).await.error(401, "invalid_refresh_token");
    server.login("ann@mail.com", PASSWORD).await.error(401, "user_inactive");
    server.login("ann@mail.com", "wrong").await.error(401, "invalid_credentials");
    let (claims, mut recorded) = (ann.claims(), entries(&list).await);
    let active = Entry {
        user: ann.user_id().into(),
        about: About::Active { is_active: false },
        reason: "deactivated".into(),
        until: unix_now() + LIFETIME,
    };
    assert!(recorded[1].until >= claims.exp);
    recorded[1] = ends_about(recorded[1].clone(), active.until);
    assert_eq!(recorded, [of_login(&claims.sub, &claims.sid, "deactivated", claims.exp), active]);
}

async fn a_reactivated_user_signs_in_again(database: Database) {
    let list = list();
    let server = TestServer::on(&database).seeded().revoking_in(&list).start().await;
    let (admin, ann) = (administrator(&server).await, server.register("ann@mail.com").await.ok(201));
    for is_active in [false, true] {
        let body = json!({ "isActive": is_active });
        let reply = server.patch_user(admin.token(), ann.user_id(), &body).await.ok(200);
        assert_eq!(reply.body["isActive"], is_active);
    }
    server.check_status(ann.token()).await.error(401, "invalid_token");
    server.refresh(ann.refresh_token()).await.error(401, "invalid_refresh_token");
    server.login("ann@mail.com", PASSWORD).await.ok(200);
    let recorded = entries(&list).await;
    assert_eq!(recorded.len(), 2, "the second entry replaces the first one of the same subject");
    assert_eq!(recorded[1].about, About::Active { is_active: true });
}

async fn changed_roles_are_in_the_next_token(database: Database) {
    let list = list();
    let server = TestServer::on(&database).seeded().revoking_in(&list).start().await;
    let (admin, ann) = (administrator(&server).await, server.register("ann@mail.com").await.ok(201));
    let before = unix_now();
    let body = json!({ "roles": ["ADMIN", "USER"] });
    let changed = server.patch_user(admin.token(), ann.user_id(), &body).await.ok(200);
    let after = unix_now();
    assert_eq!(changed.body["roles"], json!(["ADMIN", "USER"]));
    assert_eq!(server.check_status(ann.token()).await.ok(200).claims().roles, [Role::Admin, Role::User]);
    assert_eq!(server.refresh(ann.refresh_token()).await.ok(200).claims().roles, [Role::Admin, Role::User]);
    let [entry] = entries(&list).await.try_into().unwrap();
    let About::Roles { issued_until, roles } = &entry.about else { panic!("{entry:?}") };
    assert!((before + 10..=after + 10).contains(issued_until), "tokens in flight count as older");
    assert_eq!(roles.iter().map(|role| &**role).collect::<Vec<_>>(), ["ADMIN", "USER"]);
    assert_eq!((entry.until, &*entry.reason), (issued_until + LIFETIME, "roles_changed"));
}

async fn names_are_changed(database: Database) {
    let list = list();
    let server = TestServer::on(&database).seeded().revoking_in(&list).start().await;
    let (admin, ann) = (administrator(&server).await, server.register("ann@mail.com").await.ok(201));
    let changed = server.patch_user(admin.token(), ann.user_id(), &json!({ "fullName": "  Zoë " })).await.ok(200);
    assert_eq!(changed.body["fullName"], "Zoë");
    assert_eq!(server.check_status(ann.token()).await.ok(200).claims().name, "Zoë");
    assert!(entries(&list).await.is_empty());
}

async fn invalid_changes_are_refused(database: Database) {
    let list = list();
    let server = TestServer::on(&database).seeded().revoking_in(&list).start().await;
    let (admin, ann) = (administrator(&server).await, server.register("ann@mail.com").await.ok(201));
    let message = async |body: Value| {
        let reply = server.patch_user(admin.token(), ann.user_id(), &body).await.error(400, "validation_failed");
        reply.body["message"][0].as_str().unwrap().to_owned()
    };
    assert_eq!(message(json!({ "roles": [] })).await, "roles must have at least one role");
    assert_eq!(message(json!({ "roles": ["USER", "USER"] })).await, "roles must not repeat a role");
    assert!(message(json!({ "roles": ["ROOT"] })).await.starts_with("roles[0] must be one of"));
    assert_eq!(message(json!({ "fullName": "System" })).await, "fullName must not be a reserved name");
    assert_eq!(message(json!({ "email": "a@b.c" })).await, "property email should not exist");
    let good = json!({ "isActive": false });
    for unknown in ["019c1838-599a-7a2e-b6c3-5f1e9a7d2b44", "7", "%00"] {
        server.patch_user(admin.token(), unknown, &good).await.error(404, "not_found");
    }
    let text = server.http.patch(server.url(&format!("/api/users/{}", ann.user_id()))).bearer_auth(admin.token());
    server.send(text.body("{}")).await.error(415, "unsupported_media_type");
    assert!(entries(&list).await.is_empty());
    server.check_status(ann.token()).await.ok(200);
}

async fn nobody_locks_himself_out(database: Database) {
    let server = TestServer::on(&database).seeded().start().await;
    let admin = administrator(&server).await;
    let own = async |body: Value| server.patch_user(admin.token(), admin.user_id(), &body).await;
    for body in [json!({ "isActive": false }), json!({ "roles": ["USER"] })] {
        let refused = own(body).await.error(403, "forbidden");
        assert!(refused.body["message"].as_str().unwrap().contains("your own account"));
    }
    own(json!({ "roles": ["SUPERUSER", "USER"], "isActive": true, "fullName": "Root" })).await.ok(200);
    let stored = database.users().await.find_by_email(&Email::new("test1@mail.com")).await.unwrap().unwrap();
    assert_eq!((stored.user.full_name.as_str(), stored.user.roles), ("Root", vec![Role::Superuser, Role::User]));
    server.get_as(admin.token(), "/api/users").await.ok(200);
}
