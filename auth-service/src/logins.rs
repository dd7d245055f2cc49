//! The logins, one row for each: the port to the database.
//!
//! Guarantees, the same on Postgres and on SQLite, for however many services on one database:
//! - A refresh token is exchanged for its successor once: of several rotations from the same token, one succeeds.
//! - A login has no end but by [`Change::end_login`] and its siblings, by its `expires_at`, or with its user.
//! - `tokens_until` covers every access token of a login that is open: it is stored before the token is handed out.
//! - What must be true together changes in one [`Change`]: a transaction, which is undone if it is dropped.
//!
//! Knows neither the text of tokens nor the list of revocations.

mod change;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use rand::TryCryptoRng;
use sqlx::FromRow;
use uuid::Uuid;

use crate::{
    logins_postgres, logins_sqlite,
    refresh_token::{NoRandomness, Nonce, RefreshToken, TokenHash, random_bytes},
    users::{self, Account, EitherPool, Row, User, Users, UsersError, either},
};
pub use change::{Change, Ended};

/// Rows that one statement deletes.
const BATCH: i64 = 1_000;

/// The present moment, as exactly as both databases store it.
#[must_use]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(3)
}

/// One login: its state, and the current one of its refresh tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// `sid` in tokens; a UUID v7.
    pub id: Uuid,
    /// Its user.
    pub user: Uuid,
    /// The sign-in.
    pub created_at: DateTime<Utc>,
    /// The end, however often it is refreshed.
    pub expires_at: DateTime<Utc>,
    /// An earlier end.
    pub ended_at: Option<DateTime<Utc>>,
    /// Expiry of the last of its access tokens.
    pub tokens_until: DateTime<Utc>,
    /// The number of the current refresh token.
    pub number: u32,
    /// The hash of the current refresh token.
    pub token_hash: TokenHash,
    /// The time since when it is the current one.
    pub rotated_at: DateTime<Utc>,
    /// The key that makes successors.
    pub nonce: Nonce,
}

impl Login {
    /// A new login of `user`, and its first refresh token. It has no access token yet.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn begin(
        user: Uuid,
        now: DateTime<Utc>,
        max_age: TimeDelta,
        random: &mut impl TryCryptoRng,
    ) -> Result<(Self, RefreshToken), NoRandomness> {
        let id = Uuid::now_v7();
        let token = RefreshToken::first(id, random_bytes(random)?);
        let login = Self {
            id,
            user,
            created_at: now,
            expires_at: now + max_age,
            ended_at: None,
            tokens_until: now,
            number: 0,
            token_hash: token.hash(),
            rotated_at: now,
            nonce: random_bytes(random)?,
        };
        Ok((login, token))
    }

    /// Whether it goes on at `now`.
    #[must_use]
    pub fn is_open(&self, now: DateTime<Utc>) -> bool {
        self.ended_at.is_none() && now < self.expires_at
    }
}

/// The logins in either database. Cheap to clone.
#[derive(Clone)]
pub struct Logins {
    pool: EitherPool,
    sql: &'static Statements,
}

/// The statements that differ between the databases. All read and write ids as text.
pub(crate) struct Statements {
    /// Those of the users.
    pub users: &'static users::Statements,
    /// The row of a login and of its user.
    pub find: &'static str,
    /// Id, old hash, new number, new hash, time, tokens until.
    pub rotate: &'static str,
    /// Id, time, tokens until.
    pub extend: &'static str,
    /// Time, limit.
    pub delete_ended: &'static str,
    /// Time, limit.
    pub delete_expired: &'static str,
    /// The row of a user, which no other transaction changes before the end of this one.
    pub lock_user: &'static str,
    /// The columns of [`Login`] in their order, without `ended_at`.
    pub insert: &'static str,
    /// User, the login to keep, the number of others to keep, time.
    pub end_oldest: &'static str,
    /// Id, time.
    pub end: &'static str,
    /// User, time, the login to keep.
    pub end_all: &'static str,
    /// Id, time.
    pub is_open: &'static str,
    /// User.
    pub tokens_until: &'static str,
    /// The id, user and `tokens_until` of ended logins; time, id, limit.
    pub ended_with_tokens: &'static str,
    /// Id, full name, whether it is active, roles, time.
    pub update_user: &'static str,
}

impl Logins {
    /// The logins in the database of these users.
    #[must_use]
    pub fn of(users: &Users) -> Self {
        let sql = match &users.pool {
            EitherPool::Postgres(_) => &logins_postgres::SQL,
            EitherPool::Sqlite(_) => &logins_sqlite::SQL,
        };
        Self { pool: users.pool.clone(), sql }
    }

    /// A login and its user.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn find(&self, id: Uuid) -> Result<Option<(Login, User)>, UsersError> {
        let row: Option<Joined> = either!(self, pool => {
            sqlx::query_as(self.sql.find).bind(id.to_string()).fetch_optional(pool).await?
        });
        let both = |row: Joined| Ok((row.login.try_into()?, Account::try_from(row.user)?.user));
        row.map(both).transpose()
    }

    /// Replaces the current refresh token of a login by its successor and stores the expiry of the access token that
    /// comes with it, if the login is open and the token is still the current one; returns whether it was.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn rotate(
        &self,
        login: &Login,
        successor: &RefreshToken,
        now: DateTime<Utc>,
        tokens_until: DateTime<Utc>,
    ) -> Result<bool, UsersError> {
        let new_hash = successor.hash();
        either!(self, pool => {
            let rotate = sqlx::query(self.sql.rotate)
                .bind(login.id.to_string())
                .bind(login.token_hash.as_slice())
                .bind(i64::from(successor.number()))
                .bind(new_hash.as_slice())
                .bind(now)
                .bind(tokens_until);
            Ok(rotate.execute(pool).await?.rows_affected() == 1)
        })
    }

    /// Stores the expiry of one more access token, if the login is open; returns whether it is.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn extend(&self, id: Uuid, now: DateTime<Utc>, tokens_until: DateTime<Utc>) -> Result<bool, UsersError> {
        either!(self, pool => {
            let extend = sqlx::query(self.sql.extend).bind(id.to_string()).bind(now).bind(tokens_until);
            Ok(extend.execute(pool).await?.rows_affected() == 1)
        })
    }

    /// The ended logins with the lowest ids above `after` of which access tokens are still valid, at most `limit`.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn ended_with_tokens(
        &self,
        now: DateTime<Utc>,
        after: Uuid,
        limit: usize,
    ) -> Result<Vec<Ended>, UsersError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows: Vec<change::EndedRow> = either!(self, pool => {
            let read = sqlx::query_as(self.sql.ended_with_tokens).bind(now).bind(after.to_string()).bind(limit);
            read.fetch_all(pool).await?
        });
        rows.into_iter().map(Ended::try_from).collect()
    }

    /// Deletes the logins that ended before `then`, and whose last access token had expired by then; returns their
    /// number.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn delete_over(&self, then: DateTime<Utc>) -> Result<u64, UsersError> {
        let mut deleted = 0;
        for statement in [self.sql.delete_ended, self.sql.delete_expired] {
            loop {
                // In small transactions, so that no refresh waits long.
                let batch = either!(self, pool => {
                    sqlx::query(statement).bind(then).bind(BATCH).execute(pool).await?.rows_affected()
                });
                deleted += batch;
                if i64::try_from(batch).is_ok_and(|batch| batch < BATCH) {
                    break;
                }
            }
        }
        Ok(deleted)
    }

    /// Begins a change of users and logins together.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn begin(&self) -> Result<Change, UsersError> {
        Change::begin(&self.pool, self.sql).await
    }
}

/// A row of `logins`, joined with its user's.
#[derive(FromRow)]
struct Joined {
    #[sqlx(flatten)]
    login: LoginRow,
    #[sqlx(flatten)]
    user: Row,
}

/// The columns of `logins`; its id has another name, because the user's row has one, too.
#[derive(FromRow)]
struct LoginRow {
    login_id: String,
    user_id: String,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    tokens_until: DateTime<Utc>,
    number: i64,
    token_hash: Vec<u8>,
    rotated_at: DateTime<Utc>,
    nonce: Vec<u8>,
}

impl TryFrom<LoginRow> for Login {
    type Error = UsersError;

    fn try_from(row: LoginRow) -> Result<Self, UsersError> {
        Ok(Self {
            id: row.login_id.parse().map_err(|_| UsersError::Unreadable("id"))?,
            user: row.user_id.parse().map_err(|_| UsersError::Unreadable("user_id"))?,
            created_at: row.created_at,
            expires_at: row.expires_at,
            ended_at: row.ended_at,
            tokens_until: row.tokens_until,
            number: row.number.try_into().map_err(|_| UsersError::Unreadable("number"))?,
            token_hash: row.token_hash.try_into().map_err(|_| UsersError::Unreadable("token_hash"))?,
            rotated_at: row.rotated_at,
            nonce: row.nonce.try_into().map_err(|_| UsersError::Unreadable("nonce"))?,
        })
    }
}
