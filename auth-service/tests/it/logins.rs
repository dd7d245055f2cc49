//! The guarantees of the `logins` port, and the limit on open logins.

use chrono::TimeDelta;
use futures_util::future::join_all;
use jackfield_auth::{
    logins::{Login, now},
    refresh_token::RefreshToken,
    rules::Email,
    users::{Account, User},
};
use jackfield_shared::claims::Role;
use rand::rngs::OsRng;
use uuid::Uuid;

use crate::harness::{Database, TestServer, on_both};

const PASSWORD: &str = "P44sw0rd";

on_both!(
    a_stored_login_is_found_with_its_user,
    of_several_rotations_from_one_token_one_succeeds,
    an_ended_or_expired_login_is_neither_rotated_nor_extended,
    the_expiry_of_tokens_never_goes_back,
    a_change_that_is_dropped_is_undone,
    logins_that_are_over_are_deleted,
    a_deleted_users_logins_go_with_it,
    a_sign_in_above_the_limit_ends_the_oldest_login,
    concurrent_sign_ins_keep_the_limit,
    zero_open_logins_is_no_limit,
);

async fn insert_user(database: &Database, email: &str) -> User {
    let user = User::new(&Email::new(email), "Ann", &[Role::User]);
    let account = Account { user, password_hash: "hash".into() };
    assert!(database.users().await.insert(&account).await.unwrap());
    account.user
}

/// A login that began `ago` and lasts an hour.
async fn insert_login(database: &Database, user: &User, ago: TimeDelta) -> (Login, RefreshToken) {
    let (login, token) = Login::begin(user.id, now() - ago, TimeDelta::hours(1), &mut OsRng).unwrap();
    let mut change = database.logins().await.begin().await.unwrap();
    change.insert_login(&login).await.unwrap();
    change.commit().await.unwrap();
    (login, token)
}

async fn a_stored_login_is_found_with_its_user(database: Database) {
    let ann = insert_user(&database, "ann@mail.com").await;
    let (login, _) = insert_login(&database, &ann, TimeDelta::zero()).await;
    let logins = database.logins().await;
    let (found, user) = logins.find(login.id).await.unwrap().unwrap();
    assert!(found == login && user == ann);
    assert!(logins.find(Uuid::now_v7()).await.unwrap().is_none());
}

async fn of_several_rotations_from_one_token_one_succeeds(database: Database) {
    let ann = insert_user(&database, "ann@mail.com").await;
    let (login, token) = insert_login(&database, &ann, TimeDelta::zero()).await;
    let logins = database.logins().await;
    let next = token.after(&login.nonce, 1);
    let until = login.expires_at;
    let rotations = (0..16).map(|_| logins.rotate(&login, &next, now(), until));
    let succeeded: Vec<_> = join_all(rotations).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(succeeded.iter().filter(|succeeded| **succeeded).count(), 1);
    let (stored, _) = logins.find(login.id).await.unwrap().unwrap();
    assert_eq!((stored.number, stored.token_hash, stored.tokens_until), (1, next.hash(), until));
}

async fn an_ended_or_expired_login_is_neither_rotated_nor_extended(database: Database) {
    let ann = insert_user(&database, "ann@mail.com").await;
    let logins = database.logins().await;
    let (expired, _) = insert_login(&database, &ann, TimeDelta::hours(1)).await;
    let (ended, _) = insert_login(&database, &ann, TimeDelta::zero()).await;
    let mut change = logins.begin().await.unwrap();
    assert!(change.is_open(ended.id, now()).await.unwrap() && !change.is_open(expired.id, now()).await.unwrap());
    let end = change.end_login(ended.id, now()).await.unwrap().unwrap();
    assert_eq!((end.login, end.user, end.tokens_until), (ended.id, ann.id, ended.tokens_until));
    assert_eq!(change.end_login(ended.id, now()).await.unwrap(), None);
    assert_eq!(change.end_login(expired.id, now()).await.unwrap(), None);
    assert!(change.end_all(ann.id, None, now()).await.unwrap().is_empty());
    change.commit().await.unwrap();
    for login in [expired, ended] {
        let next = RefreshToken::first(login.id, [0; 32]);
        assert!(!logins.rotate(&login, &next, now(), login.expires_at).await.unwrap());
        assert!(!logins.extend(login.id, now(), login.expires_at).await.unwrap());
    }
}

async fn the_expiry_of_tokens_never_goes_back(database: Database) {
    let ann = insert_user(&database, "ann@mail.com").await;
    let (login, token) = insert_login(&database, &ann, TimeDelta::zero()).await;
    let logins = database.logins().await;
    let later = now() + TimeDelta::minutes(30);
    assert!(logins.extend(login.id, now(), later).await.unwrap());
    assert!(logins.extend(login.id, now(), now()).await.unwrap());
    assert!(logins.rotate(&login, &token.after(&login.nonce, 1), now(), now()).await.unwrap());
    assert_eq!(logins.find(login.id).await.unwrap().unwrap().0.tokens_until, later);
    let mut change = logins.begin().await.unwrap();
    assert_eq!(change.tokens_until(ann.id).await.unwrap(), Some(later));
    assert_eq!(change.tokens_until(Uuid::now_v7()).await.unwrap(), None);
}

async fn a_change_that_is_dropped_is_undone(database: Database) {
    let ann = insert_user(&database, "ann@mail.com").await;
    let (login, _) = insert_login(&database, &ann, TimeDelta::zero()).await;
    let logins = database.logins().await;
    let mut change = logins.begin().await.unwrap();
    change.lock_user(ann.id).await.unwrap().unwrap();
    change.update_user(&User { is_active: false, ..ann.clone() }).await.unwrap();
    assert_eq!(change.end_all(ann.id, None, now()).await.unwrap().len(), 1);
    drop(change);
    let (stored, user) = logins.find(login.id).await.unwrap().unwrap();
    assert!(stored == login && user == ann);
}

async fn logins_that_are_over_are_deleted(database: Database) {
    let ann = insert_user(&database, "ann@mail.com").await;
    let logins = database.logins().await;
    let (expired, _) = insert_login(&database, &ann, TimeDelta::hours(4)).await;
    let (ended, _) = insert_login(&database, &ann, TimeDelta::zero()).await;
    let (with_token, _) = insert_login(&database, &ann, TimeDelta::zero()).await;
    let (open, _) = insert_login(&database, &ann, TimeDelta::zero()).await;
    logins.extend(with_token.id, now(), now() + TimeDelta::hours(1)).await.unwrap();
    let mut change = logins.begin().await.unwrap();
    for login in [&ended, &with_token] {
        change.end_login(login.id, now()).await.unwrap().unwrap();
    }
    change.commit().await.unwrap();
    assert_eq!(logins.delete_over(now() - TimeDelta::hours(1)).await.unwrap(), 1, "the expired one");
    assert_eq!(logins.delete_over(now() + TimeDelta::minutes(1)).await.unwrap(), 1, "the one without tokens");
    for (login, is_kept) in [(expired, false), (ended, false), (with_token, true), (open, true)] {
        assert_eq!(logins.find(login.id).await.unwrap().is_some(), is_kept);
    }
}

async fn a_deleted_users_logins_go_with_it(database: Database) {
    let server = TestServer::on(&database).start().await;
    let ann = server.register("ann@mail.com").await.ok(201);
    // Connections of the tests to SQLite check foreign keys, too.
    database.execute("DELETE FROM users").await;
    assert_eq!(database.count("SELECT count(*) FROM logins").await, 0);
    server.check_status(ann.token()).await.error(401, "invalid_token");
    server.refresh(ann.refresh_token()).await.error(401, "invalid_refresh_token");
}

async fn a_sign_in_above_the_limit_ends_the_oldest_login(database: Database) {
    let server = TestServer::on(&database).set("login.open=2").start().await;
    let first = server.register("ann@mail.com").await.ok(201);
    let second = server.login("ann@mail.com", PASSWORD).await.ok(200);
    server.refresh(first.refresh_token()).await.ok(200);
    let third = server.login("ann@mail.com", PASSWORD).await.ok(200);
    server.check_status(first.token()).await.error(401, "invalid_token");
    for open in [second, third] {
        server.check_status(open.token()).await.ok(200);
    }
}

async fn concurrent_sign_ins_keep_the_limit(database: Database) {
    let plan = TestServer::on(&database).set("login.open=3").set("password.perAddress=0").set("password.wait=60s");
    let server = plan.start().await;
    server.register("ann@mail.com").await.ok(201);
    for reply in join_all((0..12).map(|_| server.login("ann@mail.com", PASSWORD))).await {
        reply.ok(200);
    }
    assert_eq!(database.count("SELECT count(*) FROM logins WHERE ended_at IS NULL").await, 3);
    assert_eq!(database.count("SELECT count(*) FROM logins").await, 13);
}

async fn zero_open_logins_is_no_limit(database: Database) {
    let server = TestServer::on(&database).set("login.open=0").start().await;
    let first = server.register("ann@mail.com").await.ok(201);
    for _ in 0..3 {
        server.login("ann@mail.com", PASSWORD).await.ok(200);
    }
    server.check_status(first.token()).await.ok(200);
}
