//! A list of revocations that has lost its entries is told them again, from the database.

use std::time::Duration;

use jackfield_cluster::revocations::{About, Entry, Revocations};
use jackfield_shared::time::unix_now;
use serde_json::json;

use crate::harness::{
    Database, Reply, TestServer, on_both,
    revocations::{entries, list},
};

on_both!(a_new_list_is_told_what_still_matters, what_is_in_the_list_is_not_replaced);

fn is_of_login(entry: &Entry, login: &Reply) -> bool {
    entry.about == About::Login { id: login.claims().sid.into() } && *entry.user == *login.user_id()
}

/// The entries, once there are so many.
async fn until(list: &Revocations, number: usize) -> Vec<Entry> {
    let all = async {
        loop {
            let found = entries(list).await;
            if found.len() >= number {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all).await.unwrap()
}

async fn a_new_list_is_told_what_still_matters(database: Database) {
    let server = TestServer::on(&database).seeded().revoking_in(&list()).start().await;
    let admin = server.login("test1@mail.com", "test123").await.ok(200);
    let [gone, inactive, promoted, stays] = {
        let mut users = Vec::new();
        for name in ["gone", "inactive", "promoted", "stays"] {
            users.push(server.register(&format!("{name}@mail.com")).await.ok(201));
        }
        <[_; 4]>::try_from(users).ok().unwrap()
    };
    server.logout(gone.token()).await.ok(204);
    server.patch_user(admin.token(), inactive.user_id(), &json!({ "isActive": false })).await.ok(200);
    server.patch_user(admin.token(), promoted.user_id(), &json!({ "roles": ["ADMIN"] })).await.ok(200);

    let lost = list();
    let _other = TestServer::on(&database).revoking_in(&lost).start().await;
    let found = until(&lost, 4).await;
    let has = |is: &dyn Fn(&Entry) -> bool| found.iter().filter(|entry| is(entry)).count();
    assert_eq!(has(&|entry| is_of_login(entry, &gone)), 1);
    assert_eq!(has(&|entry| is_of_login(entry, &inactive)), 1);
    assert_eq!(
        has(&|entry| *entry.user == *inactive.user_id() && entry.about == About::Active { is_active: false }),
        1
    );
    let roles = About::Roles { issued_until: 0, roles: ["ADMIN".into()].into() };
    let is_role = |entry: &Entry| match &entry.about {
        About::Roles { roles, .. } => About::Roles { issued_until: 0, roles: roles.clone() },
        other => other.clone(),
    };
    assert_eq!(has(&|entry| *entry.user == *promoted.user_id() && is_role(entry) == roles), 1);
    assert_eq!(has(&|entry| *entry.user == *stays.user_id()), 0);
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|entry| entry.until > unix_now()));
}

async fn what_is_in_the_list_is_not_replaced(database: Database) {
    let list = list();
    let server = TestServer::on(&database).seeded().revoking_in(&list).start().await;
    let admin = server.login("test1@mail.com", "test123").await.ok(200);
    let ann = server.register("ann@mail.com").await.ok(201);
    server.logout(ann.token()).await.ok(204);
    server.patch_user(admin.token(), ann.user_id(), &json!({ "roles": ["ADMIN"] })).await.ok(200);
    let before = entries(&list).await;
    let bob = {
        let other = TestServer::on(&database).revoking_in(&list).start().await;
        let bob = other.register("bob@mail.com").await.ok(201);
        other.logout(bob.token()).await.ok(204);
        bob
    };
    let after = until(&list, before.len() + 1).await;
    assert_eq!(after[..before.len()], before);
    assert!(is_of_login(after.last().unwrap(), &bob));
}
