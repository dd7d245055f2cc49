//! [`Users`](crate::users::Users) in one SQLite file.
//!
//! In WAL mode, so that readers do not wait for the writer; a writer waits for the previous one, for a bounded time.
//! A new file is readable by its owner only, because it holds the signing key.

use std::{
    fs::{OpenOptions, hard_link, remove_file},
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    str::FromStr,
    time::{Duration, Instant},
};

use chrono::Utc;
use jackfield_shared::{claims::Role, time::rfc3339};
use sqlx::{
    Connection as _, Row, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use uuid::Uuid;

use crate::{
    rules::Email,
    signing_key::StoredKey,
    users::{Account, OpenError, Pool, User, UsersError, not_a_database},
};

/// How long to wait for the previous writer, and for a connection of the pool.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const BUSY_PAUSE: Duration = Duration::from_millis(20);

const BY_EMAIL: &str = "SELECT id, email, password_hash, full_name, is_active, roles FROM users WHERE email = $1";
const BY_ID: &str = "SELECT id, email, password_hash, full_name, is_active, roles FROM users WHERE id = $1";

/// A pool of connections.
#[derive(Clone)]
pub struct SqliteUsers {
    pool: SqlitePool,
}

impl SqliteUsers {
    pub(crate) async fn open(url: &str, connections: u32) -> Result<Self, OpenError> {
        let options = SqliteConnectOptions::from_str(url).map_err(|_| not_a_database())?;
        let file = options.get_filename().to_owned();
        // With a database in memory, each connection would have its own.
        if file.as_os_str().is_empty() || url.contains(":memory:") {
            Err(not_a_database())?;
        }
        create_file(&file).map_err(|error| OpenError::File(file.display().to_string(), error))?;
        let options = options
            .create_if_missing(true)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let pool = SqlitePoolOptions::new().max_connections(connections).acquire_timeout(BUSY_TIMEOUT);
        let pool = connect(pool, options).await?;
        migrate(&pool).await?;
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
        let update = "UPDATE users SET password_hash = $3, updated_at = $4 WHERE id = $1 AND password_hash = $2";
        let update = sqlx::query(update).bind(id.to_string()).bind(old).bind(new).bind(rfc3339(Utc::now()));
        Ok(update.execute(&self.pool).await?.rows_affected() == 1)
    }

    pub(crate) async fn reset(&self, accounts: &[Account]) -> Result<(), UsersError> {
        let existing = "(email) DO UPDATE SET password_hash = excluded.password_hash, full_name = excluded.full_name,
            is_active = excluded.is_active, roles = excluded.roles, updated_at = excluded.updated_at";
        let mut connection = self.pool.acquire().await?;
        // IMMEDIATE: a transaction that starts as a reader cannot wait for its turn to write.
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
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
        .bind(rfc3339(Utc::now()))
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

/// Retries while busy: switching a new file to WAL needs an exclusive lock, for which SQLite ignores `busy_timeout`.
async fn connect(pool: SqlitePoolOptions, options: SqliteConnectOptions) -> Result<SqlitePool, OpenError> {
    let start = Instant::now();
    loop {
        match pool.clone().connect_with(options.clone()).await {
            Err(error) if is_busy(&error) && start.elapsed() < BUSY_TIMEOUT => tokio::time::sleep(BUSY_PAUSE).await,
            connected => return Ok(connected?),
        }
    }
}

fn is_busy(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "5")
}

/// Runs all migrations in one transaction that holds SQLite's write lock from its start, so processes that start at
/// the same time wait for each other. (The migrator itself locks nothing on SQLite.) Ignores the migrations of a later
/// version.
async fn migrate(pool: &SqlitePool) -> Result<(), OpenError> {
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut migrations = sqlx::migrate!("migrations/sqlite");
    migrations.set_ignore_missing(true);
    migrations.run_direct(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

/// Creates the file under another name and links it, so that this never opens and closes the database's own file:
/// closing it would drop the locks that SQLite has on it elsewhere in this process.
fn create_file(path: &Path) -> std::io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let fresh = path.with_added_extension(format!("{}.new", Uuid::now_v7()));
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    let linked = hard_link(&fresh, path);
    remove_file(&fresh)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

async fn insert(connection: &mut SqliteConnection, account: &Account, on_conflict: &str) -> Result<bool, UsersError> {
    let Account { user, password_hash } = account;
    let roles: Vec<&str> = user.roles.iter().map(|role| role.as_str()).collect();
    let statement = format!(
        "INSERT INTO users (id, email, password_hash, full_name, is_active, roles, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT {on_conflict}"
    );
    let insert = sqlx::query(&statement)
        .bind(user.id.to_string())
        .bind(&user.email)
        .bind(password_hash)
        .bind(&user.full_name)
        .bind(user.is_active)
        .bind(serde_json::json!(roles).to_string())
        .bind(rfc3339(Utc::now()));
    Ok(insert.execute(connection).await?.rows_affected() == 1)
}

fn account(row: &SqliteRow) -> Result<Account, UsersError> {
    Ok(Account { user: user(row)?, password_hash: row.try_get("password_hash")? })
}

fn user(row: &SqliteRow) -> Result<User, UsersError> {
    let roles: Vec<Role> = serde_json::from_str(row.try_get("roles")?).map_err(|_| UsersError::Unreadable("roles"))?;
    Ok(User {
        id: row.try_get::<&str, _>("id")?.parse().map_err(|_| UsersError::Unreadable("id"))?,
        email: row.try_get("email")?,
        full_name: row.try_get("full_name")?,
        is_active: row.try_get("is_active")?,
        roles,
    })
}
