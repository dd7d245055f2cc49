//! An empty database for one test.

use std::{panic::AssertUnwindSafe, str::FromStr, sync::Arc};

use futures_util::FutureExt as _;
use jackfield_auth::users::Users;
use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, PgConnection, SqliteConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tempfile::TempDir;

/// Cheap to clone. [`Database::run`] drops a Postgres database at its end; a SQLite file goes with the last clone.
#[derive(Clone)]
pub struct Database {
    pub url: String,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Sqlite(#[expect(dead_code, reason = "the folder goes with it")] Arc<TempDir>),
    Postgres(String),
}

impl Database {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        Self { url, kind: Kind::Sqlite(Arc::new(folder)) }
    }

    pub async fn postgres() -> Self {
        let name = format!("auth_{}", uuid::Uuid::new_v4().simple());
        let mut server = server().await;
        server.execute(format!("CREATE DATABASE {name}").as_str()).await.unwrap();
        let url = server_options().database(&name).to_url_lossy().to_string();
        Self { url, kind: Kind::Postgres(name) }
    }

    /// Runs a test on it, and drops it afterwards, whether the test passed or not.
    pub async fn run<F: Future<Output = ()>>(self, test: impl FnOnce(Self) -> F) {
        let outcome = AssertUnwindSafe(test(self.clone())).catch_unwind().await;
        if let Kind::Postgres(name) = &self.kind {
            server().await.execute(format!("DROP DATABASE {name} WITH (FORCE)").as_str()).await.unwrap();
        }
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    }

    /// A `users` port to it, besides the server's own.
    pub async fn users(&self) -> Users {
        Users::open(&self.url, 5).await.unwrap()
    }

    /// Executes a statement on either kind of database; returns the number of rows that it changed.
    pub async fn execute(&self, statement: &str) -> u64 {
        let done = match self.kind {
            Kind::Sqlite(_) => {
                SqliteConnection::connect(&self.url).await.unwrap().execute(statement).await.map(|d| d.rows_affected())
            }
            Kind::Postgres(_) => {
                PgConnection::connect(&self.url).await.unwrap().execute(statement).await.map(|d| d.rows_affected())
            }
        };
        done.unwrap()
    }

    /// Queries one number from a Postgres database.
    pub async fn count(&self, query: &str) -> i64 {
        let pool = PgPoolOptions::new().max_connections(1).connect(&self.url).await.unwrap();
        sqlx::query_scalar(query).fetch_one(&pool).await.unwrap()
    }
}

fn server_options() -> PgConnectOptions {
    let url = std::env::var("TEST_POSTGRES_URL");
    let url = url.unwrap_or_else(|_| panic!("set TEST_POSTGRES_URL, or run `cargo xtask test`"));
    PgConnectOptions::from_str(&url).unwrap()
}

async fn server() -> PgConnection {
    server_options().connect().await.unwrap()
}
