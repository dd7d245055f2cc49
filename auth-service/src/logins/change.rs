//! A change of users and logins together: one transaction.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, Postgres, Sqlite, Transaction};
use uuid::Uuid;

use super::{Login, Statements};
use crate::users::{Account, EitherPool, Row, User, UsersError, insertion};

/// A transaction. It is undone if it is dropped before [`Change::commit`].
///
/// A change of a user's row and logins, or of several logins of a user, locks the user's row first. So changes of one
/// user happen one after the other, and no two of them deadlock.
pub struct Change {
    transaction: EitherTransaction,
    sql: &'static Statements,
}

enum EitherTransaction {
    Postgres(Transaction<'static, Postgres>),
    Sqlite(Transaction<'static, Sqlite>),
}

/// A login that a change has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its id.
    pub login: Uuid,
    /// Its user.
    pub user: Uuid,
    /// Expiry of the last of its access tokens.
    pub tokens_until: DateTime<Utc>,
}

macro_rules! within {
    ($self:ident, $connection:ident => $call:expr) => {
        match &mut $self.transaction {
            EitherTransaction::Postgres(transaction) => {
                let $connection = &mut **transaction;
                $call
            }
            EitherTransaction::Sqlite(transaction) => {
                let $connection = &mut **transaction;
                $call
            }
        }
    };
}

impl Change {
    pub(super) async fn begin(pool: &EitherPool, sql: &'static Statements) -> Result<Self, UsersError> {
        let transaction = match pool {
            EitherPool::Postgres(pool) => EitherTransaction::Postgres(pool.begin_with(sql.users.begin).await?),
            EitherPool::Sqlite(pool) => EitherTransaction::Sqlite(pool.begin_with(sql.users.begin).await?),
        };
        Ok(Self { transaction, sql })
    }

    /// Makes all of it true.
    ///
    /// # Errors
    /// [`UsersError`]; then it may be true or not.
    pub async fn commit(self) -> Result<(), UsersError> {
        match self.transaction {
            EitherTransaction::Postgres(transaction) => transaction.commit().await?,
            EitherTransaction::Sqlite(transaction) => transaction.commit().await?,
        }
        Ok(())
    }

    /// The account of an id, which nobody else changes before the end of this change.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn lock_user(&mut self, id: Uuid) -> Result<Option<Account>, UsersError> {
        let statement = self.sql.lock_user;
        let row: Option<Row> = within!(self, connection => {
            sqlx::query_as(statement).bind(id.to_string()).fetch_optional(connection).await?
        });
        row.map(Account::try_from).transpose()
    }

    /// Stores a new account. Returns false, and stores nothing, if the address is taken.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn insert_user(&mut self, account: &Account) -> Result<bool, UsersError> {
        let statement = self.sql.users.insert_new();
        within!(self, connection => {
            Ok(insertion(&statement, account).execute(connection).await?.rows_affected() == 1)
        })
    }

    /// Creates or overwrites an account, matched by its address; an existing one keeps its id.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn reset_user(&mut self, account: &Account) -> Result<User, UsersError> {
        let (write, read) = (self.sql.users.insert_or_overwrite(), self.sql.users.find_by_email);
        let row: Row = within!(self, connection => {
            insertion(&write, account).execute(&mut *connection).await?;
            sqlx::query_as(read).bind(account.user.email.as_str()).fetch_one(connection).await?
        });
        Ok(Account::try_from(row)?.user)
    }

    /// Stores full name, roles and whether the user is active.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn update_user(&mut self, user: &User) -> Result<(), UsersError> {
        let statement = self.sql.update_user;
        within!(self, connection => {
            let update = sqlx::query(statement)
                .bind(user.id.to_string())
                .bind(user.full_name.as_str())
                .bind(user.is_active)
                .bind(serde_json::json!(user.roles).to_string())
                .bind(Utc::now());
            update.execute(connection).await?;
        });
        Ok(())
    }

    /// Replaces a user's hash if it still is `old`; returns whether it did.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn replace_hash(&mut self, id: Uuid, old: &str, new: &str) -> Result<bool, UsersError> {
        let statement = self.sql.users.replace_hash;
        within!(self, connection => {
            let update = sqlx::query(statement).bind(id.to_string()).bind(old).bind(new).bind(Utc::now());
            Ok(update.execute(connection).await?.rows_affected() == 1)
        })
    }

    /// Stores a new login.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn insert_login(&mut self, login: &Login) -> Result<(), UsersError> {
        let statement = self.sql.insert;
        within!(self, connection => {
            let insert = sqlx::query(statement)
                .bind(login.id.to_string())
                .bind(login.user.to_string())
                .bind(login.created_at)
                .bind(login.expires_at)
                .bind(login.tokens_until)
                .bind(i64::from(login.number))
                .bind(login.token_hash.as_slice())
                .bind(login.rotated_at)
                .bind(login.nonce.as_slice());
            insert.execute(connection).await?;
        });
        Ok(())
    }

    /// Ends the user's oldest open logins, all but `keep` and `others` more; returns the number of ended ones.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn end_oldest(
        &mut self,
        user: Uuid,
        keep: Uuid,
        others: u32,
        now: DateTime<Utc>,
    ) -> Result<u64, UsersError> {
        let statement = self.sql.end_oldest;
        within!(self, connection => {
            let end = sqlx::query(statement)
                .bind(user.to_string())
                .bind(keep.to_string())
                .bind(i64::from(others))
                .bind(now);
            Ok(end.execute(connection).await?.rows_affected())
        })
    }

    /// Ends one login. Returns `None` if it was not open.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn end_login(&mut self, id: Uuid, now: DateTime<Utc>) -> Result<Option<Ended>, UsersError> {
        let statement = self.sql.end;
        let row: Option<EndedRow> = within!(self, connection => {
            sqlx::query_as(statement).bind(id.to_string()).bind(now).fetch_optional(connection).await?
        });
        row.map(Ended::try_from).transpose()
    }

    /// Ends all open logins of a user, except one.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn end_all(
        &mut self,
        user: Uuid,
        except: Option<Uuid>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Ended>, UsersError> {
        let statement = self.sql.end_all;
        let rows: Vec<EndedRow> = within!(self, connection => {
            let end = sqlx::query_as(statement)
                .bind(user.to_string())
                .bind(now)
                // No login has this id.
                .bind(except.unwrap_or_default().to_string());
            end.fetch_all(connection).await?
        });
        rows.into_iter().map(Ended::try_from).collect()
    }

    /// Whether a login is open.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn is_open(&mut self, id: Uuid, now: DateTime<Utc>) -> Result<bool, UsersError> {
        let statement = self.sql.is_open;
        within!(self, connection => {
            Ok(sqlx::query(statement).bind(id.to_string()).bind(now).fetch_optional(connection).await?.is_some())
        })
    }

    /// Expiry of the last access token of any of the user's logins; `None` if there are no logins.
    ///
    /// # Errors
    /// [`UsersError`].
    pub async fn tokens_until(&mut self, user: Uuid) -> Result<Option<DateTime<Utc>>, UsersError> {
        let statement = self.sql.tokens_until;
        within!(self, connection => {
            Ok(sqlx::query_scalar(statement).bind(user.to_string()).fetch_one(connection).await?)
        })
    }
}

/// A row that an ending statement returns.
#[derive(FromRow)]
pub(super) struct EndedRow {
    id: String,
    user_id: String,
    tokens_until: DateTime<Utc>,
}

impl TryFrom<EndedRow> for Ended {
    type Error = UsersError;

    fn try_from(row: EndedRow) -> Result<Self, UsersError> {
        Ok(Self {
            login: row.id.parse().map_err(|_| UsersError::Unreadable("id"))?,
            user: row.user_id.parse().map_err(|_| UsersError::Unreadable("user_id"))?,
            tokens_until: row.tokens_until,
        })
    }
}
