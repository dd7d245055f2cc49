//! Tells gateways which tokens are over before they expire, through the cluster's list of revocations.
//!
//! Every change that revokes tokens goes the same way: [`Revoker::check`], then one [`Change`] of the database, then
//! [`Revoker::commit`], which records the entries before it commits. Guarantees: if the list cannot be reached, the
//! database stays as it was; if the commit fails, gateways refuse tokens that the database still knows as good, never
//! the other way round, and a second try completes it. Without a list, which a warning at the start reports, only the
//! database changes: gateways accept a token until it expires.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use chrono::{DateTime, Utc};
use jackfield_cluster::{
    Unavailable,
    revocations::{About, Entry, RecordError, Revocations},
};
use jackfield_shared::claims::Role;
use uuid::Uuid;

use crate::{
    logins::{Change, Ended},
    metrics,
    users::UsersError,
};

/// Seconds for which tokens may still be issued with roles that were read before a change of them was committed.
const ROLES_IN_FLIGHT: u64 = 10;

/// Why tokens are revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The user has signed out.
    Logout,
    /// The user's password was changed, by another login.
    PasswordChanged,
    /// An administrator has deactivated the user.
    Deactivated,
    /// A refresh token was used twice.
    Reused,
    /// The demo user was reset.
    Reset,
}

impl Reason {
    /// For gateways and their clients.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::PasswordChanged => "password_changed",
            Self::Deactivated => "deactivated",
            Self::Reused => "revoked",
            Self::Reset => "reset",
        }
    }
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// The list refuses, or does not answer.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The database.
    #[error(transparent)]
    Users(#[from] UsersError),
}

impl From<Unavailable> for RevokeError {
    fn from(error: Unavailable) -> Self {
        Self::Record(error.into())
    }
}

/// See the module.
pub struct Revoker {
    list: OnceLock<Revocations>,
    /// Of access tokens.
    lifetime: Duration,
}

impl Revoker {
    /// Without a list yet. Access tokens live as long as `lifetime`.
    #[must_use]
    pub fn new(lifetime: Duration) -> Self {
        Self { list: OnceLock::new(), lifetime }
    }

    /// From now on, records in this list. Only the first call counts.
    pub fn record_in(&self, list: Revocations) {
        // Called while the service is built: there is no list yet.
        let _ = self.list.set(list);
    }

    /// How long access tokens live.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Whether the list answers; `None` without one.
    pub async fn is_reachable(&self) -> Option<bool> {
        match self.list.get() {
            Some(list) => Some(list.check().await.is_ok()),
            None => None,
        }
    }

    /// Checks that the list answers, before anything is changed.
    ///
    /// # Errors
    /// [`RevokeError::Record`].
    pub async fn check(&self) -> Result<(), RevokeError> {
        match self.list.get() {
            Some(list) => Ok(list.check().await?),
            None => Ok(()),
        }
    }

    /// Records the entries and commits the change: both, or neither in the database.
    ///
    /// # Errors
    /// [`RevokeError`].
    pub async fn commit(&self, change: Change, entries: &[Entry]) -> Result<(), RevokeError> {
        if let Some(list) = self.list.get() {
            list.record(entries).await?;
        }
        Ok(change.commit().await?)
    }

    /// Entries for logins that have ended, and counts them. Those whose tokens are over need none.
    #[must_use]
    pub fn ended(&self, logins: &[Ended], reason: Reason, now: DateTime<Utc>) -> Vec<Entry> {
        let with_tokens = logins.iter().filter(|ended| ended.tokens_until > now);
        let entry = |ended: &Ended| Entry {
            user: ended.user.to_string().into(),
            about: About::Login { id: ended.login.to_string().into() },
            reason: reason.as_str().into(),
            until: unix(ended.tokens_until),
        };
        with_tokens.map(entry).collect()
    }

    /// An entry for a user who is active from now on, or is not. `tokens_until` is the expiry of the last token of the
    /// user.
    #[must_use]
    pub fn active(&self, user: Uuid, is_active: bool, now: DateTime<Utc>, tokens_until: DateTime<Utc>) -> Entry {
        Entry {
            user: user.to_string().into(),
            about: About::Active { is_active },
            reason: if is_active { "activated" } else { Reason::Deactivated.as_str() }.into(),
            until: self.last_expiry(unix(now)).max(unix(tokens_until)),
        }
    }

    /// An entry for a user who has these roles from now on.
    #[must_use]
    pub fn roles(&self, user: Uuid, roles: &[Role], now: DateTime<Utc>, tokens_until: DateTime<Utc>) -> Entry {
        let issued_until = unix(now) + ROLES_IN_FLIGHT;
        let roles: Arc<[Box<str>]> = roles.iter().map(|role| role.as_str().into()).collect();
        Entry {
            user: user.to_string().into(),
            about: About::Roles { issued_until, roles },
            reason: "roles_changed".into(),
            until: self.last_expiry(issued_until).max(unix(tokens_until)),
        }
    }

    fn last_expiry(&self, issued_at: u64) -> u64 {
        issued_at.saturating_add(self.lifetime.as_secs())
    }
}

/// Counts logins that have ended. Call it once that is committed.
pub fn count_ended(reason: Reason, logins: usize) {
    metrics::LOGINS_ENDED.add_for([reason.as_str()], logins);
}

fn unix(at: DateTime<Utc>) -> u64 {
    u64::try_from(at.timestamp()).unwrap_or(0)
}
