//! Opens logins and issues their access tokens.
//!
//! Guarantees: a login opens only for a user who is active and still has the password that was verified, whatever
//! changes at the same time; an access token never outlives its login; its expiry is stored before it is handed out, so
//! that whoever ends the login knows how long its tokens live; it counts as issued at a time before its user was read,
//! so that a change of the user's roles that it missed is newer.

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::OsRng;

use crate::{
    app::App,
    logins::{Change, Login, now},
    metrics,
    refresh_token::{NoRandomness, RefreshToken},
    settings,
    tokens::SignError,
    users::{Account, User, UsersError},
};

/// Why no login was opened.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The database.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// No secret could be made.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// The signer.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// How long logins last, and how many a user has.
#[derive(Debug, Clone, Copy)]
pub struct LoginTerms {
    max_age: TimeDelta,
    /// 0 for no limit.
    open: u32,
}

impl LoginTerms {
    /// Those of the settings.
    #[must_use]
    pub fn new(login: &settings::Login) -> Self {
        // `AuthSettings::check` allows no age that does not fit.
        Self { max_age: TimeDelta::from_std(login.max_age).unwrap_or(TimeDelta::MAX), open: login.open }
    }
}

/// A new login's tokens.
pub struct Opened {
    /// The access token.
    pub token: String,
    /// The first refresh token.
    pub refresh_token: RefreshToken,
}

/// Opens a login for an account whose password was verified. Returns `None` if the password or the user has changed
/// since the account was read.
///
/// # Errors
/// [`SignInError`].
pub async fn open(app: &App, account: &Account) -> Result<Option<Opened>, SignInError> {
    let now = now();
    let mut change = app.logins.begin().await?;
    let current = change.lock_user(account.user.id).await?;
    match current.filter(|current| current.user.is_active && current.password_hash == account.password_hash) {
        Some(current) => Ok(Some(open_in(app, change, &current.user, now).await?)),
        None => Ok(None),
    }
}

/// Stores a new account and opens its first login. Returns `None`, and stores nothing, if the address is taken.
///
/// # Errors
/// [`SignInError`].
pub async fn register(app: &App, account: &Account) -> Result<Option<Opened>, SignInError> {
    let now = now();
    let mut change = app.logins.begin().await?;
    if !change.insert_user(account).await? {
        return Ok(None);
    }
    Ok(Some(open_in(app, change, &account.user, now).await?))
}

/// Opens a login within a change that holds the user's row, and commits.
async fn open_in(app: &App, mut change: Change, user: &User, now: DateTime<Utc>) -> Result<Opened, SignInError> {
    let (mut login, refresh_token) = Login::begin(user.id, now, app.login.max_age, &mut OsRng)?;
    let access = AccessToken::new(app, &login, now);
    login.tokens_until = access.expires_at();
    change.insert_login(&login).await?;
    let ended = match app.login.open.checked_sub(1) {
        Some(others) => change.end_oldest(user.id, login.id, others, now).await?,
        None => 0,
    };
    let token = access.sign(app, &login, user)?;
    change.commit().await?;
    metrics::LOGINS_ENDED.add_for(["limit"], usize::try_from(ended).unwrap_or_default());
    Ok(Opened { token, refresh_token })
}

/// The times of an access token that is about to be issued.
#[derive(Debug, Clone, Copy)]
pub struct AccessToken {
    issued_at: u64,
    exp: u64,
}

impl AccessToken {
    /// Of this login; `now` is a moment before its user was read.
    #[must_use]
    pub fn new(app: &App, login: &Login, now: DateTime<Utc>) -> Self {
        let unix = |at: DateTime<Utc>| u64::try_from(at.timestamp()).unwrap_or(0);
        let issued_at = unix(now);
        Self { issued_at, exp: app.tokens.expiry(issued_at).min(unix(login.expires_at)) }
    }

    /// Its expiry, which has to be stored as `tokens_until` before it is handed out.
    #[must_use]
    pub fn expires_at(self) -> DateTime<Utc> {
        i64::try_from(self.exp)
            .ok()
            .and_then(|exp| DateTime::from_timestamp(exp, 0))
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// The token.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn sign(self, app: &App, login: &Login, user: &User) -> Result<String, SignError> {
        app.tokens.issue(user, &login.id.to_string(), self.issued_at, self.exp)
    }
}
