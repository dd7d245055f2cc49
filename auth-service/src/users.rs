//! The accounts: the port to the database.
//!
//! Guarantees, the same on Postgres and on SQLite, for however many services on one database:
//! - An email address belongs to one user: of several inserts at the same time, exactly one succeeds.
//! - [`Users::replace_hash`] replaces only the hash that was read, so it never undoes a new password.
//! - [`Users::open`] brings the schema up to date, one service at a time.
//!
//! Lookups take an [`Email`], so they are always normalised; the caller normalises the addresses that it stores. Hashes
//! no passwords. The keys in the same database have a port of their own: [`Users::keys`].

use chrono::{DateTime, Utc};
use jackfield_shared::{claims::Role, settings::SettingsError};
use serde::Serialize;
use sqlx::{Database, Encode, PgPool, SqlitePool, Type, query::Query};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{keys::KeyTable, rules::Email, users_postgres, users_sqlite};

/// A user, as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// UUID v7.
    pub id: Uuid,
    /// Trimmed, in lower case.
    #[schema(example = "test1@mail.com")]
    pub email: String,
    /// Shown to others.
    #[schema(example = "Test 1")]
    pub full_name: String,
    /// Whether the user may sign in and connect.
    pub is_active: bool,
    /// Any of ADMIN, SUPERUSER, USER.
    #[schema(value_type = Vec<String>, example = json!(["USER"]))]
    pub roles: Vec<Role>,
}

impl User {
    /// A new, active user.
    #[must_use]
    pub fn new(email: &Email, full_name: &str, roles: &[Role]) -> Self {
        Self {
            id: Uuid::now_v7(),
            email: email.as_str().to_owned(),
            full_name: full_name.to_owned(),
            is_active: true,
            roles: roles.to_vec(),
        }
    }
}

/// A user with its password hash. Has no `Debug`: a hash must not be logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The user.
    pub user: User,
    /// PHC format.
    pub password_hash: String,
}

/// Connections to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// Open.
    pub open: usize,
    /// Open and unused.
    pub idle: usize,
    /// How many may be open.
    pub limit: usize,
}

impl Pool {
    fn of<D: Database>(pool: &sqlx::Pool<D>) -> Self {
        let limit = pool.options().get_max_connections();
        Self { open: pool.size() as usize, idle: pool.num_idle(), limit: limit as usize }
    }
}

/// Why a database operation failed.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// The database cannot be reached, or is too busy. Temporary.
    #[error("the database is unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// The database refused the operation, which no input can cause.
    #[error("the database refused the statement")]
    Refused(#[source] sqlx::Error),
    /// This version cannot read a stored value.
    #[error("cannot read column `{0}` of a stored row: a newer version may have written it")]
    Unreadable(&'static str),
}

impl UsersError {
    /// Whether `error` means that the database cannot be reached, or is too busy.
    pub(crate) fn is_unavailable(error: &sqlx::Error) -> bool {
        match error {
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut => true,
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => true,
            sqlx::Error::Database(database) => database.code().is_some_and(|code| is_temporary(&code)),
            _ => false,
        }
    }
}

impl From<sqlx::Error> for UsersError {
    fn from(error: sqlx::Error) -> Self {
        if Self::is_unavailable(&error) { Self::Unavailable(error) } else { Self::Refused(error) }
    }
}

/// Postgres: no connection, a deadlock, no resources, shutting down. SQLite: busy (5, and its kinds).
fn is_temporary(code: &str) -> bool {
    match code.parse::<u32>() {
        Ok(sqlite) if code.len() < 5 => sqlite & 0xff == 5,
        _ => ["08", "40", "53", "57P"].iter().any(|class| code.starts_with(class)),
    }
}

/// Why the database cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// `database.url` is not the URL of a database.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The file of a SQLite database cannot be created.
    #[error("cannot create the database file {0}")]
    File(String, #[source] std::io::Error),
    /// The database does not answer, or refuses.
    #[error("cannot open the database at `database.url` (DATABASE_URL)")]
    Database(#[from] sqlx::Error),
    /// The schema cannot be brought up to date.
    #[error("cannot migrate the database schema")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

/// The accounts in either database. Cheap to clone.
#[derive(Clone)]
pub struct Users {
    pub(crate) pool: EitherPool,
    sql: &'static Statements,
}

/// The connections of either database.
#[derive(Clone)]
pub(crate) enum EitherPool {
    /// For many services.
    Postgres(PgPool),
    /// One file, for one machine.
    Sqlite(SqlitePool),
}

/// The statements that differ between the databases. All read and write ids as text and roles as a JSON array.
pub(crate) struct Statements {
    /// The [`Row`] of an address.
    pub find_by_email: &'static str,
    /// The [`Row`] of an id.
    pub find: &'static str,
    /// The [`Row`]s of the lowest ids above an id; the id, limit.
    pub list: &'static str,
    /// The [`Changed`] rows of the lowest ids above an id that were changed since a time, after their insertion; the time,
    /// id, limit.
    pub changed_since: &'static str,
    /// See [`insertion`]; continues with `ON CONFLICT`.
    pub insert: &'static str,
    /// Id, old hash, new hash, time.
    pub replace_hash: &'static str,
    /// Begins a transaction that writes.
    pub begin: &'static str,
}

impl Statements {
    /// The [`insertion`] of an account whose address may be taken.
    pub(crate) fn insert_new(&self) -> String {
        format!("{} ON CONFLICT DO NOTHING", self.insert)
    }

    /// The [`insertion`] of an account that overwrites one of the same address.
    pub(crate) fn insert_or_overwrite(&self) -> String {
        format!("{} ON CONFLICT {OVERWRITE}", self.insert)
    }
}

const OVERWRITE: &str = "(email) DO UPDATE SET password_hash = excluded.password_hash, full_name = excluded.full_name,
    is_active = excluded.is_active, roles = excluded.roles, updated_at = excluded.updated_at";

macro_rules! either {
    ($self:ident, $pool:ident => $call:expr) => {
        match &$self.pool {
            $crate::users::EitherPool::Postgres($pool) => $call,
            $crate::users::EitherPool::Sqlite($pool) => $call,
        }
    };
}
pub(crate) use either;

impl Users {
    /// Connects to the database at `url` and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`]; none shows the password that `url` may hold.
    pub async fn open(url: &str, connections: u32) -> Result<Self, OpenError> {
        let (pool, sql) = match url.split_once("://") {
            Some(("postgres" | "postgresql", _)) => {
                (EitherPool::Postgres(users_postgres::open(url, connections).await?), &users_postgres::SQL)
            }
            Some(("sqlite", _)) => {
                (EitherPool::Sqlite(users_sqlite::open(url, connections).await?), &users_sqlite::SQL)
            }
            _ => Err(not_a_database())?,
        };
        Ok(Self { pool, sql })
    }

    /// Stores a new account. Returns false, and stores nothing, if the address is taken.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn insert(&self, account: &Account) -> Result<bool, UsersError> {
        let statement = self.sql.insert_new();
        either!(self, pool => Ok(insertion(&statement, account).execute(pool).await?.rows_affected() == 1))
    }

    /// The account of an address.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn find_by_email(&self, email: &Email) -> Result<Option<Account>, UsersError> {
        self.find_one(self.sql.find_by_email, email.as_str()).await
    }

    /// The account of an id.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn find(&self, id: Uuid) -> Result<Option<Account>, UsersError> {
        self.find_one(self.sql.find, &id.to_string()).await
    }

    /// The users with the lowest ids above `after`, at most `limit`.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn list(&self, after: Uuid, limit: u32) -> Result<Vec<User>, UsersError> {
        let rows: Vec<Row> = either!(self, pool => {
            sqlx::query_as(self.sql.list).bind(after.to_string()).bind(i64::from(limit)).fetch_all(pool).await?
        });
        rows.into_iter().map(|row| Ok(Account::try_from(row)?.user)).collect()
    }

    /// The users with the lowest ids above `after` that were changed since `then`, after they were created, and when; at
    /// most `limit`.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn changed_since(
        &self,
        then: DateTime<Utc>,
        after: Uuid,
        limit: usize,
    ) -> Result<Vec<(User, DateTime<Utc>)>, UsersError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows: Vec<Changed> = either!(self, pool => {
            let read = sqlx::query_as(self.sql.changed_since).bind(then).bind(after.to_string()).bind(limit);
            read.fetch_all(pool).await?
        });
        rows.into_iter().map(|row| Ok((Account::try_from(row.user)?.user, row.updated_at))).collect()
    }

    async fn find_one(&self, statement: &str, key: &str) -> Result<Option<Account>, UsersError> {
        let row: Option<Row> = either!(self, pool => sqlx::query_as(statement).bind(key).fetch_optional(pool).await?);
        row.map(Account::try_from).transpose()
    }

    /// Replaces a user's hash if it still is `old`; returns whether it did.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn replace_hash(&self, id: Uuid, old: &str, new: &str) -> Result<bool, UsersError> {
        either!(self, pool => {
            let update = sqlx::query(self.sql.replace_hash).bind(id.to_string()).bind(old).bind(new).bind(Utc::now());
            Ok(update.execute(pool).await?.rows_affected() == 1)
        })
    }

    /// The signing keys in the same database.
    #[must_use]
    pub fn keys(&self) -> KeyTable {
        KeyTable::new(self.pool.clone(), self.sql.begin)
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn ping(&self) -> Result<(), UsersError> {
        either!(self, pool => sqlx::query("SELECT 1 FROM users LIMIT 1").execute(pool).await.map(drop)?);
        Ok(())
    }

    /// How the connections to the database are used.
    #[must_use]
    pub fn pool(&self) -> Pool {
        either!(self, pool => Pool::of(pool))
    }

    /// Closes the connections. Every later operation fails.
    pub async fn close(&self) {
        either!(self, pool => pool.close().await);
    }
}

/// A row of `users`, and when it was changed.
#[derive(sqlx::FromRow)]
struct Changed {
    #[sqlx(flatten)]
    user: Row,
    updated_at: DateTime<Utc>,
}

/// A row of `users`.
#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    id: String,
    email: String,
    password_hash: String,
    full_name: String,
    is_active: bool,
    roles: String,
}

impl TryFrom<Row> for Account {
    type Error = UsersError;

    fn try_from(row: Row) -> Result<Self, UsersError> {
        let Row { id, email, password_hash, full_name, is_active, roles } = row;
        let id = id.parse().map_err(|_| UsersError::Unreadable("id"))?;
        let roles = serde_json::from_str(&roles).map_err(|_| UsersError::Unreadable("roles"))?;
        Ok(Self { user: User { id, email, full_name, is_active, roles }, password_hash })
    }
}

/// The insertion of an account: id, address, hash, full name, whether it is active, roles, time.
pub(crate) fn insertion<'q, D: Database>(statement: &'q str, account: &'q Account) -> Query<'q, D, D::Arguments<'q>>
where
    &'q str: Encode<'q, D> + Type<D>,
    String: Encode<'q, D> + Type<D>,
    bool: Encode<'q, D> + Type<D>,
    DateTime<Utc>: Encode<'q, D> + Type<D>,
{
    let Account { user, password_hash } = account;
    sqlx::query(statement)
        .bind(user.id.to_string())
        .bind(user.email.as_str())
        .bind(password_hash.as_str())
        .bind(user.full_name.as_str())
        .bind(user.is_active)
        .bind(serde_json::json!(user.roles).to_string())
        .bind(Utc::now())
}

/// The error for a `database.url` that is not the URL of a database.
pub(crate) fn not_a_database() -> SettingsError {
    SettingsError::new(
        "setting `database.url` (DATABASE_URL) must be `sqlite://FILE` or `postgres://USER:PASSWORD@HOST/NAME`",
    )
}

#[cfg(test)]
mod tests {
    use super::is_temporary;

    #[test]
    fn temporary_errors_differ_from_refusals() {
        for temporary in ["08006", "40P01", "53300", "57P01", "57P03", "5", "261", "517"] {
            assert!(is_temporary(temporary), "{temporary}");
        }
        for permanent in ["23505", "42P01", "57014", "1", "2067", ""] {
            assert!(!is_temporary(permanent), "{permanent}");
        }
    }
}
