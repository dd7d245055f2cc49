//! The stored keys: the port to the table `signing_keys`.
//!
//! Guarantees, the same on Postgres and on SQLite: at most one key is `current` and at most one is `next`; every change
//! applies only to a key that still is as the caller read it, and says whether it did. Does not seal or open keys.

use chrono::{DateTime, Utc};
use sqlx::{Database, Encode, Type, query::Query};
use zeroize::Zeroizing;

use super::rotation::{Key, Rotation, State};
use crate::users::{EitherPool, UsersError, either};

/// The signing keys in either database. Cheap to clone.
#[derive(Clone)]
pub struct KeyTable {
    pool: EitherPool,
    begin: &'static str,
    sql: &'static Statements,
}

/// A key with its private part, which may be sealed. Has no `Debug`: it must not be logged.
pub struct StoredKey {
    /// The key.
    pub key: Key,
    /// PKCS #8, DER; sealed if the key says so.
    pub private: Zeroizing<Vec<u8>>,
}

/// The statements that contain times.
struct Statements {
    /// Id, private part, whether it is sealed, state, time, time since when it signs, seconds; see [`insertion`].
    insert: &'static str,
    /// Id, time of the end, seconds that were read.
    retire: &'static str,
    /// Id, time.
    promote: &'static str,
}

const POSTGRES: Statements = Statements {
    insert: "INSERT INTO signing_keys (kid, pkcs8, sealed, state, created_at, current_since, token_seconds)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
    retire: "UPDATE signing_keys SET state = 'old', ends_at = $2
        WHERE kid = $1 AND state = 'current' AND token_seconds = $3",
    promote: "UPDATE signing_keys SET state = 'current', current_since = $2 WHERE kid = $1 AND state = 'next'",
};

/// Times are RFC 3339 in UTC, with milliseconds.
const SQLITE: Statements = Statements {
    insert: "INSERT INTO signing_keys (kid, pkcs8, sealed, state, created_at, current_since, token_seconds)
        VALUES ($1, $2, $3, $4, strftime('%Y-%m-%dT%H:%M:%fZ', $5), strftime('%Y-%m-%dT%H:%M:%fZ', $6), $7)
        ON CONFLICT DO NOTHING",
    retire: "UPDATE signing_keys SET state = 'old', ends_at = strftime('%Y-%m-%dT%H:%M:%fZ', $2)
        WHERE kid = $1 AND state = 'current' AND token_seconds = $3",
    promote: "UPDATE signing_keys SET state = 'current', current_since = strftime('%Y-%m-%dT%H:%M:%fZ', $2)
        WHERE kid = $1 AND state = 'next'",
};

impl KeyTable {
    pub(crate) fn new(pool: EitherPool, begin: &'static str) -> Self {
        let sql = match pool {
            EitherPool::Postgres(_) => &POSTGRES,
            EitherPool::Sqlite(_) => &SQLITE,
        };
        Self { pool, begin, sql }
    }

    /// All keys: the current one, the next one, then old ones, the latest first.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn all(&self) -> Result<Vec<StoredKey>, UsersError> {
        // States that a later version may add are not ours to use.
        let statement = "SELECT kid, pkcs8, sealed, state, created_at, current_since, ends_at, token_seconds
            FROM signing_keys WHERE state IN ('current', 'next', 'old')";
        let rows: Vec<Row> = either!(self, pool => sqlx::query_as(statement).fetch_all(pool).await?);
        let mut keys = rows.into_iter().map(StoredKey::try_from).collect::<Result<Vec<_>, _>>()?;
        keys.sort_by(|a, b| rank(&a.key).cmp(&rank(&b.key)).then_with(|| b.key.kid.cmp(&a.key.kid)));
        Ok(keys)
    }

    /// Stores a key that is current or next, unless there is one in that state.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn insert(&self, key: &StoredKey) -> Result<bool, UsersError> {
        either!(self, pool => Ok(insertion(self.sql.insert, key).execute(pool).await?.rows_affected() == 1))
    }

    /// Rotates, and stores `next` as the new next key: all of it or nothing.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn rotate(&self, rotation: &Rotation, next: &StoredKey) -> Result<bool, UsersError> {
        let Rotation { retired, token_seconds, ends, promoted, since, .. } = rotation;
        either!(self, pool => {
            let mut transaction = pool.begin_with(self.begin).await?;
            let retire = sqlx::query(self.sql.retire).bind(retired).bind(ends).bind(token_seconds);
            let promote = sqlx::query(self.sql.promote).bind(promoted).bind(since);
            // In this order, because the unique indexes hold within the transaction, too. Another service that rotates
            // waits at the first statement, and then finds the key retired.
            for change in [retire, promote, insertion(self.sql.insert, next)] {
                if change.execute(&mut *transaction).await?.rows_affected() != 1 {
                    transaction.rollback().await?;
                    return Ok(false);
                }
            }
            transaction.commit().await?;
            Ok(true)
        })
    }

    /// Replaces the plain private part of a key by the sealed one, unless it is sealed.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn seal(&self, kid: &str, sealed: &[u8]) -> Result<bool, UsersError> {
        let statement = "UPDATE signing_keys SET pkcs8 = $2, sealed = TRUE WHERE kid = $1 AND NOT sealed";
        either!(self, pool => {
            Ok(sqlx::query(statement).bind(kid).bind(sealed).execute(pool).await?.rows_affected() == 1)
        })
    }

    /// Notes that tokens signed with this key live for at least `seconds`.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn raise_lifetime(&self, kid: &str, seconds: i64) -> Result<bool, UsersError> {
        let statement = "UPDATE signing_keys SET token_seconds = $2 WHERE kid = $1 AND token_seconds < $2";
        either!(self, pool => {
            Ok(sqlx::query(statement).bind(kid).bind(seconds).execute(pool).await?.rows_affected() == 1)
        })
    }

    /// Deletes an old key.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn delete(&self, kid: &str) -> Result<bool, UsersError> {
        let statement = "DELETE FROM signing_keys WHERE kid = $1 AND state = 'old'";
        either!(self, pool => Ok(sqlx::query(statement).bind(kid).execute(pool).await?.rows_affected() == 1))
    }
}

/// A row of `signing_keys`.
#[derive(sqlx::FromRow)]
struct Row {
    kid: String,
    pkcs8: Vec<u8>,
    sealed: bool,
    state: String,
    created_at: DateTime<Utc>,
    current_since: Option<DateTime<Utc>>,
    ends_at: Option<DateTime<Utc>>,
    token_seconds: i64,
}

impl TryFrom<Row> for StoredKey {
    type Error = UsersError;

    fn try_from(row: Row) -> Result<Self, UsersError> {
        let Row { kid, pkcs8, sealed, state, created_at: published, current_since, ends_at, token_seconds } = row;
        let private = Zeroizing::new(pkcs8);
        let since = current_since.unwrap_or(published);
        let state = match (state.as_str(), ends_at) {
            ("current", _) => State::Current { since },
            ("next", _) => State::Next,
            ("old", Some(ends)) => State::Old { since, ends },
            ("old", None) => return Err(UsersError::Unreadable("ends_at")),
            _ => return Err(UsersError::Unreadable("state")),
        };
        Ok(Self { key: Key { kid, state, published, token_seconds, sealed }, private })
    }
}

fn rank(key: &Key) -> u8 {
    match key.state {
        State::Current { .. } => 0,
        State::Next => 1,
        State::Old { .. } => 2,
    }
}

fn insertion<'q, D: Database>(statement: &'q str, stored: &'q StoredKey) -> Query<'q, D, D::Arguments<'q>>
where
    &'q str: Encode<'q, D> + Type<D>,
    &'q [u8]: Encode<'q, D> + Type<D>,
    bool: Encode<'q, D> + Type<D>,
    i64: Encode<'q, D> + Type<D>,
    DateTime<Utc>: Encode<'q, D> + Type<D>,
    Option<DateTime<Utc>>: Encode<'q, D> + Type<D>,
{
    let StoredKey { key, private } = stored;
    let (state, since) = match key.state {
        State::Next => ("next", None),
        State::Current { since } => ("current", Some(since)),
        State::Old { since, .. } => ("old", Some(since)),
    };
    sqlx::query(statement)
        .bind(key.kid.as_str())
        .bind(private.as_slice())
        .bind(key.sealed)
        .bind(state)
        .bind(key.published)
        .bind(since)
        .bind(key.token_seconds)
}
