//! [`Users`](crate::users::Users) in one SQLite file.
//!
//! In WAL mode, so that readers do not wait for the writer; a writer waits for the previous one, for a bounded time.
//! A new file is readable by its owner only, because it holds the signing keys.

use std::{
    fs::{OpenOptions, hard_link, remove_file},
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    str::FromStr,
    time::{Duration, Instant},
};

use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use uuid::Uuid;

use crate::users::{OpenError, Statements, not_a_database};

/// How long to wait for the previous writer, and for a connection of the pool.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// Times are RFC 3339 in UTC, with milliseconds.
pub(crate) static SQL: Statements = Statements {
    find_by_email: "SELECT id, email, password_hash, full_name, is_active, roles FROM users WHERE email = $1",
    find: "SELECT id, email, password_hash, full_name, is_active, roles FROM users WHERE id = $1",
    list: "SELECT id, email, password_hash, full_name, is_active, roles FROM users
        WHERE id > $1 ORDER BY id LIMIT $2",
    changed_since: "SELECT id, email, password_hash, full_name, is_active, roles, updated_at
        FROM users WHERE updated_at > strftime('%Y-%m-%dT%H:%M:%fZ', $1) AND updated_at > created_at AND id > $2
        ORDER BY id LIMIT $3",
    insert: "INSERT INTO users (id, email, password_hash, full_name, is_active, roles, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, strftime('%Y-%m-%dT%H:%M:%fZ', $7), strftime('%Y-%m-%dT%H:%M:%fZ', $7))",
    replace_hash: "UPDATE users SET password_hash = $3, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', $4)
        WHERE id = $1 AND password_hash = $2",
    // A transaction that starts as a reader cannot wait for its turn to write.
    begin: "BEGIN IMMEDIATE",
};

pub(crate) async fn open(url: &str, connections: u32) -> Result<SqlitePool, OpenError> {
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
    Ok(pool)
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
    let mut transaction = pool.begin_with(SQL.begin).await?;
    sqlx::migrate!("migrations/sqlite").set_ignore_missing(true).run_direct(&mut *transaction).await?;
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
