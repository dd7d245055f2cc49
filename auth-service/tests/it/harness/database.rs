//! An empty database for one test.

use std::{
    io::Write as _,
    panic::AssertUnwindSafe,
    str::FromStr,
    sync::{Arc, Once},
};

use futures_util::FutureExt as _;
use jackfield_auth::{
    AuthSettings,
    keys::KeyManager,
    logins::Logins,
    users::{Account, Users},
};
use jackfield_shared::settings::{Sources, load};
use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, PgConnection, SqliteConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tempfile::TempDir;

/// Cheap to clone. A SQLite file goes with the last clone, a Postgres database at the end of [`Database::on_postgres`].
#[derive(Clone)]
pub struct Database {
    pub url: String,
    /// Holds the SQLite file.
    folder: Option<Arc<TempDir>>,
}

impl Database {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        Self { url, folder: Some(Arc::new(folder)) }
    }

    /// Runs a test on an empty Postgres database, and drops it whether the test passed or not. Without a Postgres it
    /// says so and leaves the test out.
    pub async fn on_postgres<F: Future<Output = ()>>(test: impl FnOnce(Self) -> F) {
        let Some(options) = postgres() else { return };
        let name = format!("auth_{}", uuid::Uuid::new_v4().simple());
        let execute = async |statement: String| {
            options.connect().await.unwrap().execute(statement.as_str()).await.unwrap();
        };
        execute(format!("CREATE DATABASE {name}")).await;
        let url = options.clone().database(&name).to_url_lossy().to_string();
        let outcome = AssertUnwindSafe(test(Self { url, folder: None })).catch_unwind().await;
        execute(format!("DROP DATABASE {name} WITH (FORCE)")).await;
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    }

    /// A `users` port to it, besides the server's own.
    pub async fn users(&self) -> Users {
        Users::open(&self.url, 5).await.unwrap()
    }

    /// A `logins` port to it.
    pub async fn logins(&self) -> Logins {
        Logins::of(&self.users().await)
    }

    /// Creates or overwrites these accounts, matched by address, in one transaction.
    pub async fn reset(&self, accounts: &[Account]) {
        let mut change = self.logins().await.begin().await.unwrap();
        for account in accounts {
            change.reset_user(account).await.unwrap();
        }
        change.commit().await.unwrap();
    }

    /// The manager of its keys with these settings, besides the server's own.
    pub async fn keys(&self, settings: &[&str]) -> KeyManager {
        let overrides = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let settings: AuthSettings = load(&Sources { overrides, ..Sources::default() }).unwrap();
        KeyManager::new(&self.users().await, &settings)
    }

    /// Makes the next key old enough to sign at once.
    pub async fn age_next_key(&self) {
        let statement = "UPDATE signing_keys SET created_at = '2026-01-01T00:00:00.000Z' WHERE state = 'next'";
        assert_eq!(self.execute(statement).await, 1);
    }

    /// Executes a statement on either kind of database; returns the number of rows that it changed.
    pub async fn execute(&self, statement: &str) -> u64 {
        let done = if self.folder.is_some() {
            SqliteConnection::connect(&self.url).await.unwrap().execute(statement).await.map(|d| d.rows_affected())
        } else {
            PgConnection::connect(&self.url).await.unwrap().execute(statement).await.map(|d| d.rows_affected())
        };
        done.unwrap()
    }

    pub fn is_sqlite(&self) -> bool {
        self.folder.is_some()
    }

    /// Queries one number.
    pub async fn count(&self, query: &str) -> i64 {
        if self.is_sqlite() {
            let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
            return sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap();
        }
        let pool = PgPoolOptions::new().max_connections(1).connect(&self.url).await.unwrap();
        sqlx::query_scalar(query).fetch_one(&pool).await.unwrap()
    }
}

/// The Postgres to test against.
fn postgres() -> Option<PgConnectOptions> {
    static HINT: Once = Once::new();
    let Ok(url) = std::env::var("TEST_POSTGRES_URL") else {
        // Written past the test harness, which hides the output of tests that pass.
        let hint = "left out: everything on Postgres. Set TEST_POSTGRES_URL, or run `cargo xtask test`.";
        HINT.call_once(|| drop(writeln!(std::io::stderr(), "{hint}")));
        return None;
    };
    Some(PgConnectOptions::from_str(&url).unwrap())
}
