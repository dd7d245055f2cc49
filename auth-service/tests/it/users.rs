//! The guarantees of the `users` port, one case each, on both databases.

use futures_util::future::join_all;
use jackfield_auth::{
    rules::Email,
    users::{Account, User, Users, UsersError},
};
use jackfield_shared::claims::Role;
use uuid::Uuid;

use crate::harness::{Database, on_both};

on_both!(
    a_stored_account_is_found,
    an_absent_user_is_not_found,
    an_address_belongs_to_one_user,
    a_hash_is_replaced_only_if_it_is_the_one_read,
    a_reset_overwrites_accounts_and_keeps_their_ids,
    concurrent_resets_succeed,
    many_open_an_empty_database_at_once,
    an_older_version_works_on_newer_tables,
    a_closed_port_is_unavailable,
);

fn account(email: &str) -> Account {
    let user = User {
        id: Uuid::now_v7(),
        email: Email::new(email).as_str().to_owned(),
        full_name: "Añn \"Lee\" 🦀".into(),
        is_active: true,
        roles: vec![Role::User, Role::Admin],
    };
    Account { user, password_hash: "hash 1".into() }
}

async fn a_stored_account_is_found(database: Database) {
    let users = database.users().await;
    let ann = account("ann@mail.com");
    assert!(users.insert(&ann).await.unwrap());
    let found = users.find_by_email(&Email::new(" ANN@mail.com")).await.unwrap().unwrap();
    assert_eq!((&found.user, found.password_hash.as_str()), (&ann.user, "hash 1"));
    assert_eq!(users.find(ann.user.id).await.unwrap().unwrap().user, ann.user);
}

async fn an_absent_user_is_not_found(database: Database) {
    let users = database.users().await;
    assert!(users.find_by_email(&Email::new("nobody@mail.com")).await.unwrap().is_none());
    assert!(users.find(Uuid::now_v7()).await.unwrap().is_none());
    assert!(!users.replace_hash(Uuid::now_v7(), "old", "new").await.unwrap());
}

async fn an_address_belongs_to_one_user(database: Database) {
    let users = database.users().await;
    let rivals: Vec<_> = (0..16).map(|_| account("ann@mail.com")).collect();
    let inserted = join_all(rivals.iter().map(|rival| users.insert(rival))).await;
    let winners: Vec<_> = rivals.iter().zip(inserted).filter(|(_, inserted)| *inserted.as_ref().unwrap()).collect();
    assert_eq!(winners.len(), 1);
    let stored = users.find_by_email(&Email::new("ann@mail.com")).await.unwrap().unwrap();
    assert_eq!(stored.user, winners[0].0.user);
}

async fn a_hash_is_replaced_only_if_it_is_the_one_read(database: Database) {
    let users = database.users().await;
    let ann = account("ann@mail.com");
    users.insert(&ann).await.unwrap();
    assert!(!users.replace_hash(ann.user.id, "hash 0", "hash 2").await.unwrap());
    assert!(users.replace_hash(ann.user.id, "hash 1", "hash 2").await.unwrap());
    assert!(!users.replace_hash(ann.user.id, "hash 1", "hash 3").await.unwrap());
    let stored = users.find_by_email(&Email::new("ann@mail.com")).await.unwrap().unwrap();
    assert_eq!(stored.password_hash, "hash 2");
}

async fn a_reset_overwrites_accounts_and_keeps_their_ids(database: Database) {
    let users = database.users().await;
    let (before, bystander) = (account("ann@mail.com"), account("bob@mail.com"));
    users.insert(&before).await.unwrap();
    users.insert(&bystander).await.unwrap();

    let mut after = account("ann@mail.com");
    after.user.full_name = "Other".into();
    after.user.is_active = false;
    after.user.roles = vec![Role::Superuser];
    after.password_hash = "hash 2".into();
    let added = account("eve@mail.com");
    database.reset(&[after.clone(), added.clone()]).await;

    let stored = users.find_by_email(&Email::new("ann@mail.com")).await.unwrap().unwrap();
    assert_eq!(stored.user, User { id: before.user.id, ..after.user }, "the id stays");
    assert_eq!(stored.password_hash, "hash 2");
    assert_eq!(users.find(added.user.id).await.unwrap().unwrap().user, added.user);
    assert_eq!(users.find(bystander.user.id).await.unwrap().unwrap().user, bystander.user);
}

async fn concurrent_resets_succeed(database: Database) {
    let accounts = [account("ann@mail.com"), account("bob@mail.com")];
    join_all((0..8).map(|_| database.reset(&accounts))).await;
}

async fn many_open_an_empty_database_at_once(database: Database) {
    let opened = join_all((0..8).map(|_| Users::open(&database.url, 2))).await;
    for users in opened {
        users.unwrap().ping().await.unwrap();
    }
}

async fn an_older_version_works_on_newer_tables(database: Database) {
    database.users().await.close().await;
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        SELECT 9999, description, success, checksum, execution_time FROM _sqlx_migrations WHERE version = 1";
    assert_eq!(database.execute(later).await, 1);
    database.users().await.ping().await.unwrap();
}

async fn a_closed_port_is_unavailable(database: Database) {
    let users = database.users().await;
    users.ping().await.unwrap();
    users.close().await;
    assert!(matches!(users.ping().await, Err(UsersError::Unavailable(_))));
}
