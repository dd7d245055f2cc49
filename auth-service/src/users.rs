//! The accounts, and the key that signs their tokens: the port to the database.
//!
//! Guarantees, the same on Postgres and on SQLite, for however many services on one database:
//! - An email address belongs to one user: of several inserts at the same time, exactly one succeeds.
//! - There is one signing key: if several services offer theirs at the same time, all receive the same one.
//! - [`Users::replace_hash`] replaces only the hash that was read, so it never undoes a new password.
//! - [`Users::open`] brings the schema up to date, one service at a time.
//!
//! Lookups take an [`Email`], so they are always normalised; the caller normalises the addresses that it stores. Hashes
//! no passwords.

use jackfield_shared::{claims::Role, settings::SettingsError};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{rules::Email, signing_key::StoredKey, users_postgres::PostgresUsers, users_sqlite::SqliteUsers};

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
    pub(crate) fn of<D: sqlx::Database>(pool: &sqlx::Pool<D>) -> Self {
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

/// Postgres: no connection, no resources, shutting down. SQLite: busy (5, and its kinds).
fn is_temporary(code: &str) -> bool {
    match code.parse::<u32>() {
        Ok(sqlite) if code.len() < 5 => sqlite & 0xff == 5,
        _ => ["08", "53", "57P"].iter().any(|class| code.starts_with(class)),
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
pub enum Users {
    /// For many services.
    Postgres(PostgresUsers),
    /// One file, for one machine.
    Sqlite(SqliteUsers),
}

macro_rules! either {
    ($self:ident, $users:ident => $call:expr) => {
        match $self {
            Self::Postgres($users) => $call,
            Self::Sqlite($users) => $call,
        }
    };
}

impl Users {
    /// Connects to the database at `url` and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`]; none shows the password that `url` may hold.
    pub async fn open(url: &str, connections: u32) -> Result<Self, OpenError> {
        match url.split_once("://") {
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(PostgresUsers::open(url, connections).await?)),
            Some(("sqlite", _)) => Ok(Self::Sqlite(SqliteUsers::open(url, connections).await?)),
            _ => Err(not_a_database())?,
        }
    }

    /// Stores a new account. Returns false, and stores nothing, if the address is taken.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn insert(&self, account: &Account) -> Result<bool, UsersError> {
        either!(self, users => users.insert(account).await)
    }

    /// The account of an address.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn find_by_email(&self, email: &Email) -> Result<Option<Account>, UsersError> {
        either!(self, users => users.find_by_email(email).await)
    }

    /// The user of an id.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn find(&self, id: Uuid) -> Result<Option<User>, UsersError> {
        either!(self, users => users.find(id).await)
    }

    /// Replaces a user's hash if it still is `old`; returns whether it did.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn replace_hash(&self, id: Uuid, old: &str, new: &str) -> Result<bool, UsersError> {
        either!(self, users => users.replace_hash(id, old, new).await)
    }

    /// Creates or overwrites these accounts, matched by address, all or none; existing ones keep their ids.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn reset(&self, accounts: &[Account]) -> Result<(), UsersError> {
        either!(self, users => users.reset(accounts).await)
    }

    /// The signing key. If there is none yet, `candidate` becomes it.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn signing_key(&self, candidate: &StoredKey) -> Result<StoredKey, UsersError> {
        either!(self, users => users.signing_key(candidate).await)
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn ping(&self) -> Result<(), UsersError> {
        either!(self, users => users.ping().await)
    }

    /// How the connections to the database are used.
    #[must_use]
    pub fn pool(&self) -> Pool {
        either!(self, users => users.pool())
    }

    /// Closes the connections. Every later operation fails.
    pub async fn close(&self) {
        either!(self, users => users.close().await);
    }
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
        for temporary in ["08006", "53300", "57P01", "57P03", "5", "261", "517"] {
            assert!(is_temporary(temporary), "{temporary}");
        }
        for permanent in ["23505", "42P01", "57014", "1", "2067", ""] {
            assert!(!is_temporary(permanent), "{permanent}");
        }
    }
}
