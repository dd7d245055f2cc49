//! [`Users`](crate::users::Users) in Postgres.

use std::{str::FromStr, time::Duration};

use chrono::Utc;
use jackfield_shared::claims::Role;
use sqlx::{
    PgConnection, PgPool, Row,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
};
use uuid::Uuid;

use crate::{
    rules::Email,
    signing_key::StoredKey,
    users::{Account, OpenError, Pool, User, UsersError, not_a_database},
};

/// Timeout for getting a connection, from the pool or new.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

const BY_EMAIL: &str =
    "SELECT id::text AS id, email, password_hash, full_name, is_active, roles FROM users WHERE email = $1";
const BY_ID: &str =
    "SELECT id::text AS id, email, password_hash, full_name, is_active, roles FROM users WHERE id = $1::uuid";

/// A pool of connections.
#[derive(Clone)]
pub struct PostgresUsers {
    pool: PgPool,
}

impl PostgresUsers {
    pub(crate) async fn open(url: &str, connections: u32) -> Result<Self, OpenError> {
        let options = PgConnectOptions::from_str(url).map_err(|_| not_a_database())?;
        let options = options.application_name("jackfield-auth");
        let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE_TIMEOUT);
        let pool = pool.connect_with(options).await?;
        migrations().run(&pool).await?;
        Ok(Self { pool })
    }

    pub(crate) async fn insert(&self, account: &Account) -> Result<bool, UsersError> {
        let mut connection = self.pool.acquire().await?;
        insert(&mut connection, account, "DO NOTHING").await
    }

    pub(crate) async fn find_by_email(&self, email: &Email) -> Result<Option<Account>, UsersError> {
        let query = sqlx::query(BY_EMAIL).bind(email.as_str());
        query.fetch_optional(&self.pool).await?.as_ref().map(account).transpose()
    }

    pub(crate) async fn find(&self, id: Uuid) -> Result<Option<User>, UsersError> {
        let query = sqlx::query(BY_ID).bind(id.to_string());
        query.fetch_optional(&self.pool).await?.as_ref().map(user).transpose()
    }

    pub(crate) async fn replace_hash(&self, id: Uuid, old: &str, new: &str) -> Result<bool, UsersError> {
        let update = "UPDATE users SET password_hash = $3, updated_at = $4 WHERE id = $1::uuid AND password_hash = $2";
        let update = sqlx::query(update).bind(id.to_string()).bind(old).bind(new).bind(Utc::now());
        Ok(update.execute(&self.pool).await?.rows_affected() == 1)
    }

    pub(crate) async fn reset(&self, accounts: &[Account]) -> Result<(), UsersError> {
        let existing = "(email) DO UPDATE SET password_hash = EXCLUDED.password_hash, full_name = EXCLUDED.full_name,
            is_active = EXCLUDED.is_active, roles = EXCLUDED.roles, updated_at = EXCLUDED.updated_at";
        let mut transaction = self.pool.begin().await?;
        for account in accounts {
            insert(&mut transaction, account, existing).await?;
        }
        Ok(transaction.commit().await?)
    }

    pub(crate) async fn signing_key(&self, candidate: &StoredKey) -> Result<StoredKey, UsersError> {
        // The unique index lets only the first insert in; the other services read the key that it wrote.
        sqlx::query(
            "INSERT INTO signing_keys (kid, pkcs8, state, created_at) VALUES ($1, $2, 'current', $3)
             ON CONFLICT DO NOTHING",
        )
        .bind(&candidate.kid)
        .bind(&candidate.pkcs8)
        .bind(Utc::now())
        .execute(&self.pool)
        .await?;
        let row = sqlx::query("SELECT kid, pkcs8 FROM signing_keys WHERE state = 'current'");
        let row = row.fetch_one(&self.pool).await?;
        Ok(StoredKey { kid: row.try_get("kid")?, pkcs8: row.try_get("pkcs8")? })
    }

    pub(crate) async fn ping(&self) -> Result<(), UsersError> {
        sqlx::query("SELECT 1 FROM users LIMIT 1").execute(&self.pool).await?;
        Ok(())
    }

    pub(crate) fn pool(&self) -> Pool {
        Pool::of(&self.pool)
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// They take Postgres's advisory lock, so services that start at the same time wait for each other. They ignore the
/// migrations of a later version: during a roll-out, or after a roll-back, this version works on the newer tables.
fn migrations() -> Migrator {
    let mut migrations = sqlx::migrate!("migrations/postgres");
    migrations.set_ignore_missing(true);
    migrations
}

async fn insert(connection: &mut PgConnection, account: &Account, on_conflict: &str) -> Result<bool, UsersError> {
    let Account { user, password_hash } = account;
    let roles: Vec<&str> = user.roles.iter().map(|role| role.as_str()).collect();
    let statement = format!(
        "INSERT INTO users (id, email, password_hash, full_name, is_active, roles, created_at, updated_at)
         VALUES ($1::uuid, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT {on_conflict}"
    );
    let insert = sqlx::query(&statement)
        .bind(user.id.to_string())
        .bind(&user.email)
        .bind(password_hash)
        .bind(&user.full_name)
        .bind(user.is_active)
        .bind(roles)
        .bind(Utc::now());
    Ok(insert.execute(connection).await?.rows_affected() == 1)
}

fn account(row: &PgRow) -> Result<Account, UsersError> {
    Ok(Account { user: user(row)?, password_hash: row.try_get("password_hash")? })
}

fn user(row: &PgRow) -> Result<User, UsersError> {
    let roles: Vec<String> = row.try_get("roles")?;
    let roles: Option<_> = roles.iter().map(|role| Role::parse(role)).collect();
    Ok(User {
        id: row.try_get::<&str, _>("id")?.parse().map_err(|_| UsersError::Unreadable("id"))?,
        email: row.try_get("email")?,
        full_name: row.try_get("full_name")?,
        is_active: row.try_get("is_active")?,
        roles: roles.ok_or(UsersError::Unreadable("roles"))?,
    })
}
