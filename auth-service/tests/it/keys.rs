//! The guarantees of the stored keys, one case each, on both databases.

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use jackfield_auth::keys::{
    KeyError, KeyManager, KeysError,
    ring::OpenKey,
    rotation::{Refusal, State, rotation},
    seal::Secret,
    table::StoredKey,
};
use sqlx::{PgPool, SqlitePool, migrate::Migrator};

use crate::harness::{Database, on_both};

on_both!(
    services_that_start_together_agree_on_the_keys,
    of_concurrent_changes_of_the_same_keys_one_takes_place,
    of_concurrent_rotations_one_takes_place,
    a_scheduled_rotation_takes_place_once,
    an_old_key_is_deleted_once_its_tokens_have_ended,
    the_longest_lifetime_of_any_service_counts,
    existing_keys_are_sealed_once,
    a_sealed_key_needs_its_secret,
    an_existing_key_survives_the_migration,
    an_earlier_version_works_beside_this_one,
);

const SECRET: &str = "keys.secret=0123456789-0123456789-0123456789";

async fn managers(database: &Database, count: usize, settings: &[&str]) -> Vec<KeyManager> {
    join_all((0..count).map(|_| database.keys(settings))).await
}

fn states(keys: &[OpenKey]) -> Vec<&'static str> {
    let name = |open: &OpenKey| match open.key.state {
        State::Current { .. } => "current",
        State::Next => "next",
        State::Old { .. } => "old",
    };
    keys.iter().map(name).collect()
}

fn days(count: i64) -> DateTime<Utc> {
    Utc::now() + TimeDelta::days(count)
}

async fn services_that_start_together_agree_on_the_keys(database: Database) {
    let services = managers(&database, 8, &[]).await;
    let loaded: Vec<_> = join_all(services.iter().map(|service| service.upkeep(Utc::now()))).await;
    let loaded: Vec<Vec<OpenKey>> = loaded.into_iter().map(Result::unwrap).collect();
    assert_eq!(states(&loaded[0]), ["current", "next"]);
    for keys in &loaded {
        assert!(keys.iter().zip(&loaded[0]).all(|(one, other)| one.pair == other.pair && one.key == other.key));
    }
}

async fn of_concurrent_changes_of_the_same_keys_one_takes_place(database: Database) {
    let manager = database.keys(&[]).await;
    let keys = manager.upkeep(Utc::now()).await.unwrap();
    let infos: Vec<_> = keys.iter().map(|open| open.key.clone()).collect();
    let policy = jackfield_auth::keys::rotation::Policy {
        rotate_every: std::time::Duration::ZERO,
        publish_before: std::time::Duration::ZERO,
        token_lifetime: std::time::Duration::from_secs(1),
        seals: false,
    };
    let rotation = rotation(&infos, &policy, Utc::now(), true).unwrap();
    let users = join_all((0..4).map(|_| database.users())).await;
    let candidates: Vec<_> = (0..12)
        .map(|n| {
            let mut key = infos[1].clone();
            key.kid = format!("candidate {n}");
            StoredKey { key, private: keys[1].pair.pkcs8.clone() }
        })
        .collect();
    let tables: Vec<_> = users.iter().map(|users| users.keys()).collect();
    let tried = candidates.iter().zip(tables.iter().cycle()).map(|(next, table)| table.rotate(&rotation, next));
    let done = join_all(tried).await.into_iter().filter(|done| *done.as_ref().unwrap()).count();
    assert_eq!(done, 1);
    let after = manager.upkeep(Utc::now()).await.unwrap();
    assert_eq!(states(&after), ["current", "next", "old"]);
    assert_eq!((&after[0].key.kid, &after[2].key.kid), (&infos[1].kid, &infos[0].kid));
    assert!(after[1].key.kid.starts_with("candidate"));
}

async fn of_concurrent_rotations_one_takes_place(database: Database) {
    let services = managers(&database, 8, &[]).await;
    let before = services[0].upkeep(Utc::now()).await.unwrap();
    let later = Utc::now() + TimeDelta::minutes(11);
    let tried = join_all(services.iter().map(|service| service.rotate(later, false))).await;
    let (done, refused): (Vec<_>, Vec<_>) = tried.into_iter().partition(Result::is_ok);
    assert_eq!(done.len(), 1);
    for refused in refused.into_iter().map(Result::unwrap_err) {
        let expected = matches!(refused, KeysError::Overtaken | KeysError::Refused(Refusal::TooRecent { .. }));
        assert!(expected, "{refused}");
    }
    for service in &services {
        let after = service.upkeep(later).await.unwrap();
        assert_eq!(states(&after), ["current", "next", "old"]);
        assert_eq!((&after[0].pair, &after[2].pair), (&before[1].pair, &before[0].pair));
    }
}

async fn a_scheduled_rotation_takes_place_once(database: Database) {
    let services = managers(&database, 6, &["keys.rotateEvery=30d"]).await;
    let before = services[0].upkeep(Utc::now()).await.unwrap();
    assert_eq!(states(&services[0].upkeep(days(29)).await.unwrap()), ["current", "next"]);
    let at = days(30) + TimeDelta::seconds(1);
    for after in join_all(services.iter().map(|service| service.upkeep(at))).await {
        let after = after.unwrap();
        assert_eq!(states(&after), ["current", "next", "old"]);
        assert_eq!(after[0].key.kid, before[1].key.kid);
    }
    let never = database.keys(&["keys.rotateEvery=0s"]).await;
    let after = never.upkeep(days(10_000)).await.unwrap();
    assert_eq!((states(&after), &after[0].key.kid), (vec!["current", "next"], &before[1].key.kid));
}

async fn an_old_key_is_deleted_once_its_tokens_have_ended(database: Database) {
    let services = managers(&database, 4, &["token.lifetime=2h"]).await;
    services[0].upkeep(Utc::now()).await.unwrap();
    let at = Utc::now() + TimeDelta::minutes(11);
    services[0].rotate(at, false).await.unwrap();
    let almost = at + TimeDelta::hours(2) + TimeDelta::seconds(59);
    assert_eq!(states(&services[1].upkeep(almost).await.unwrap()), ["current", "next", "old"]);
    let over = almost + TimeDelta::seconds(3);
    for after in join_all(services.iter().map(|service| service.upkeep(over))).await {
        assert_eq!(states(&after.unwrap()), ["current", "next"]);
    }
}

async fn the_longest_lifetime_of_any_service_counts(database: Database) {
    let long = database.keys(&["token.lifetime=8h"]).await;
    let short = database.keys(&["token.lifetime=1m"]).await;
    long.upkeep(Utc::now()).await.unwrap();
    let at = Utc::now() + TimeDelta::minutes(11);
    short.rotate(at, false).await.unwrap();
    let during = at + TimeDelta::hours(8);
    assert_eq!(states(&short.upkeep(during).await.unwrap()), ["current", "next", "old"]);
    assert_eq!(states(&short.upkeep(during + TimeDelta::minutes(2)).await.unwrap()), ["current", "next"]);
}

async fn existing_keys_are_sealed_once(database: Database) {
    let plain = database.keys(&[]).await;
    let before = plain.upkeep(Utc::now()).await.unwrap();
    let stored = database.users().await.keys().all().await.unwrap();
    assert!(stored.iter().zip(&before).all(|(stored, open)| !stored.key.sealed && stored.private == open.pair.pkcs8));

    let sealing = managers(&database, 4, &[SECRET]).await;
    for after in join_all(sealing.iter().map(|service| service.upkeep(Utc::now()))).await {
        let after = after.unwrap();
        assert!(after.iter().zip(&before).all(|(after, before)| after.key.sealed && after.pair == before.pair));
    }
    let stored = database.users().await.keys().all().await.unwrap();
    for (stored, open) in stored.iter().zip(&before) {
        let private = &open.pair.pkcs8[16..];
        assert!(stored.key.sealed && !stored.private.windows(private.len()).any(|part| part == private));
    }
    sealing[0].rotate(Utc::now() + TimeDelta::minutes(11), false).await.unwrap();
    let stored = database.users().await.keys().all().await.unwrap();
    assert!(stored.len() == 3 && stored.iter().all(|stored| stored.key.sealed), "a new key is sealed from its start");
}

async fn a_sealed_key_needs_its_secret(database: Database) {
    let sealing = database.keys(&[SECRET]).await;
    let before = sealing.upkeep(Utc::now()).await.unwrap();
    let other = format!("keys.secret={}", "another secret ".repeat(Secret::MIN));
    let (without, wrong) = (database.keys(&[]).await, database.keys(&[&other]).await);
    let kid = &before[0].key.kid;
    for (manager, is_expected) in [
        (without, (|error| matches!(error, KeyError::Sealed(_))) as fn(&KeyError) -> bool),
        (wrong, |error| matches!(error, KeyError::WrongSecret(_))),
    ] {
        let later = days(100);
        for error in [manager.upkeep(later).await.unwrap_err(), manager.rotate(later, true).await.unwrap_err()] {
            let text = error.to_string();
            assert!(matches!(&error, KeysError::Key(error) if is_expected(error)), "{text}");
            assert!(text.contains(kid) && text.contains("`keys.secret` (KEYS_SECRET or KEYS_SECRET_FILE)"), "{text}");
            assert!(!text.contains("another secret") && !text.contains("0123456789"), "{text}");
        }
    }
    let after = sealing.upkeep(Utc::now()).await.unwrap();
    assert!(after.len() == 2 && after.iter().zip(&before).all(|(after, before)| after.key == before.key));
}

/// Brings an empty database to the schema of the version before rotations.
async fn migrate_to_version_2(database: &Database) {
    let (kind, folder) = (if database.url.starts_with("sqlite") { "sqlite" } else { "postgres" }, tempfile::tempdir());
    let folder = folder.unwrap();
    for file in ["0001_users.sql", "0002_signing_keys.sql"] {
        let from = format!("{}/migrations/{kind}/{file}", env!("CARGO_MANIFEST_DIR"));
        std::fs::copy(from, folder.path().join(file)).unwrap();
    }
    let migrator = Migrator::new(folder.path()).await.unwrap();
    if kind == "sqlite" {
        let pool = SqlitePool::connect(&format!("{}?mode=rwc", database.url)).await.unwrap();
        migrator.run(&pool).await.unwrap();
        pool.close().await;
    } else {
        let pool = PgPool::connect(&database.url).await.unwrap();
        migrator.run(&pool).await.unwrap();
        pool.close().await;
    }
}

fn hex(database: &Database, bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    if database.url.starts_with("sqlite") { format!("x'{hex}'") } else { format!("'\\x{hex}'") }
}

/// The insertion of an earlier version.
fn earlier_insertion(database: &Database, key: &OpenKey) -> String {
    format!(
        "INSERT INTO signing_keys (kid, pkcs8, state, created_at)
         VALUES ('{}', {}, 'current', '2025-01-01T00:00:00.000Z') ON CONFLICT DO NOTHING",
        key.key.kid,
        hex(database, &key.pair.pkcs8)
    )
}

async fn an_existing_key_survives_the_migration(database: Database) {
    let elsewhere = Database::sqlite();
    let key = elsewhere.keys(&[]).await.upkeep(Utc::now()).await.unwrap().remove(0);
    migrate_to_version_2(&database).await;
    assert_eq!(database.execute(&earlier_insertion(&database, &key)).await, 1);

    let after = database.keys(&["keys.rotateEvery=30d"]).await.upkeep(Utc::now()).await.unwrap();
    assert_eq!((states(&after), &after[0].pair), (vec!["current", "next"], &key.pair));
    let State::Current { since } = after[0].key.state else { panic!("not current") };
    let age = Utc::now() - since;
    assert!(age < TimeDelta::minutes(5), "its age counts from the migration, not from 2025: {age}");
}

async fn an_earlier_version_works_beside_this_one(database: Database) {
    let manager = database.keys(&[]).await;
    let keys = manager.upkeep(Utc::now()).await.unwrap();
    let other = Database::sqlite().keys(&[]).await.upkeep(Utc::now()).await.unwrap().remove(0);
    assert_eq!(database.execute(&earlier_insertion(&database, &other)).await, 0, "there is a current key");
    // An earlier version that comes first: this one takes its key over.
    database.execute("DELETE FROM signing_keys").await;
    assert_eq!(database.execute(&earlier_insertion(&database, &keys[0])).await, 1);
    let after = manager.upkeep(Utc::now()).await.unwrap();
    assert_eq!((states(&after), &after[0].pair), (vec!["current", "next"], &keys[0].pair));
    assert!(after[0].key.token_seconds > 7_200, "this service's lifetime is noted");
}
