//! When keys begin to sign, and when they are over: decisions about stored keys, a policy and the time, without I/O.
//!
//! Guarantees, for services whose clocks agree within a few seconds:
//! - At any time one key signs, and it is published.
//! - A key signs only after it was stored for [`SETTLE`], and unless the rotation was forced for
//!   [`Policy::publish_before`] in addition. The very first key signs at once, because nobody holds an earlier key set.
//! - A key is published until every token that it signed has ended.
//!
//! A rotation may lie in the future for a few seconds: then the `current` key signs from there on, and the `old` one
//! until then. So every service has loaded a key before any of them signs with it, even if the rotation was forced.
//! Not covered: a service that starts within these seconds with a longer token lifetime than any before. Tokens that it
//! still signs with the old key may outlive the key.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// Shortest time between storing a key and its first signature. All services publish a stored key within 3 s, and a
/// gateway that meets an unknown `kid` fetches the key set unless it has done so in the last 10 s: after this time it
/// either knows the key or may fetch it.
pub const SETTLE: Duration = Duration::from_secs(15);

/// How much longer than its last token an `old` key is published: services notice a rotation a little late.
pub const MARGIN: Duration = Duration::from_secs(60);

/// Most keys that are published. Gateways refuse a key set of more than 100.
pub const MAX_PUBLISHED: usize = 50;

/// The state of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Published, does not sign yet.
    Next,
    /// Signs from `since` on.
    Current {
        /// A few seconds in the future right after some rotations.
        since: DateTime<Utc>,
    },
    /// Signed from `since` on, until the next key began. Published until `ends`.
    Old {
        /// When it began to sign.
        since: DateTime<Utc>,
        /// When its last token has ended.
        ends: DateTime<Utc>,
    },
}

/// A stored key without its private part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name in tokens and in the key set.
    pub kid: String,
    /// Its state.
    pub state: State,
    /// When it was stored; every service publishes it a few seconds later.
    pub published: DateTime<Utc>,
    /// The longest lifetime of the tokens that any service signs with it, in seconds.
    pub token_seconds: i64,
    /// Whether its private part is sealed.
    pub sealed: bool,
}

impl Key {
    /// When it began to sign, or will.
    pub(crate) fn since(&self) -> Option<DateTime<Utc>> {
        match self.state {
            State::Next => None,
            State::Current { since } | State::Old { since, .. } => Some(since),
        }
    }

    /// Whether every token that it signed has ended.
    #[must_use]
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        matches!(self.state, State::Old { ends, .. } if ends <= now)
    }
}

/// The settings that rotations depend on.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// How long a key signs; 0 for ever.
    pub rotate_every: Duration,
    /// How long a key is published before it signs.
    pub publish_before: Duration,
    /// Lifetime of the tokens that this service signs.
    pub token_lifetime: Duration,
    /// Whether private keys are to be sealed.
    pub seals: bool,
}

impl Policy {
    /// The lifetime of tokens in whole seconds, at least as long.
    #[must_use]
    pub fn token_seconds(&self) -> i64 {
        i64::try_from(self.token_lifetime.as_secs()).unwrap_or(i64::MAX).saturating_add(1)
    }
}

/// A change of the signing key, to be stored if the keys still are as they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The current key, which becomes old.
    pub retired: String,
    /// Its `token_seconds`, on which `ends` depends.
    pub token_seconds: i64,
    /// When its last token will have ended.
    pub ends: DateTime<Utc>,
    /// The next key, which becomes current.
    pub promoted: String,
    /// When the promoted key begins to sign.
    pub since: DateTime<Utc>,
    /// For how long the promoted key will have been published then.
    pub published_for: Duration,
}

/// Why keys cannot be rotated now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The next key is too young.
    #[error(
        "the next key {kid} is too young: gateways may not have fetched it yet. Wait {} \
         (`keys.publishBefore`), or add `--now`",
        humantime::format_duration(*wait)
    )]
    TooRecent {
        /// The next key.
        kid: String,
        /// How long to wait, in whole seconds.
        wait: Duration,
    },
    /// Gateways would refuse a larger key set.
    #[error(
        "{MAX_PUBLISHED} keys are published, because tokens that they signed are still valid. Wait until {} UTC",
        until.format("%Y-%m-%d %H:%M:%S")
    )]
    TooMany {
        /// When the first of them is over.
        until: DateTime<Utc>,
    },
    /// The keys are not complete.
    #[error("there is no current key and no next one yet: start a service first")]
    Incomplete,
}

/// The key that signs now.
#[must_use]
pub fn signer(keys: &[Key], now: DateTime<Utc>) -> Option<&Key> {
    let signing = || keys.iter().filter_map(|key| Some((key.since()?, key)));
    let latest = signing().filter(|(since, _)| *since <= now).max_by_key(|(since, _)| *since);
    // None has begun where the clock is behind that of the service which made the first key.
    latest.or_else(|| signing().min_by_key(|(since, _)| *since)).map(|(_, key)| key)
}

/// The rotation that is allowed now. `force` ignores [`Policy::publish_before`].
///
/// # Errors
/// [`Refusal`].
pub fn rotation(keys: &[Key], policy: &Policy, now: DateTime<Utc>, force: bool) -> Result<Rotation, Refusal> {
    let (Some((current, current_since)), Some(next)) = (current(keys), next(keys)) else {
        return Err(Refusal::Incomplete);
    };
    let first_end =
        keys.iter().filter_map(|key| if let State::Old { ends, .. } = key.state { Some(ends) } else { None });
    if keys.len() >= MAX_PUBLISHED
        && let Some(until) = first_end.min()
    {
        return Err(Refusal::TooMany { until });
    }
    let allowed = later(next.published, policy.publish_before);
    if now < allowed && !force {
        let wait = Duration::from_secs((allowed - now).to_std().unwrap_or_default().as_secs() + 1);
        return Err(Refusal::TooRecent { kid: next.kid.clone(), wait });
    }
    // Later than that of the current key in any case, so that the keys have an order.
    let known = later(if force { next.published } else { allowed }, SETTLE);
    let since = now.max(known).max(later(current_since, Duration::from_millis(1)));
    let lifetime = current.token_seconds.max(policy.token_seconds());
    let lifetime = Duration::from_secs(u64::try_from(lifetime).unwrap_or_default());
    Ok(Rotation {
        retired: current.kid.clone(),
        token_seconds: current.token_seconds,
        ends: later(later(since, lifetime), MARGIN),
        promoted: next.kid.clone(),
        since,
        published_for: (since - next.published).to_std().unwrap_or_default(),
    })
}

/// One change that a service owes the stored keys. Each is stored only if the keys still are as they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Store a key that signs at once.
    CreateCurrent,
    /// Store a key that is published.
    CreateNext,
    /// Seal the private part of this key.
    Seal(String),
    /// Note on this key that this service's tokens live longer than the noted lifetime.
    RaiseLifetime(String),
    /// Rotate, because it is due.
    Rotate(Rotation),
    /// Delete this key, which is over.
    Delete(String),
}

/// The first change that is due, if any.
#[must_use]
pub fn next_step(keys: &[Key], policy: &Policy, now: DateTime<Utc>) -> Option<Step> {
    let Some((_, current_since)) = current(keys) else { return Some(Step::CreateCurrent) };
    if next(keys).is_none() {
        return Some(Step::CreateNext);
    }
    if let Some(plain) = keys.iter().find(|key| policy.seals && !key.sealed) {
        return Some(Step::Seal(plain.kid.clone()));
    }
    // Also on the next key: it may become old before this service has seen it as the current one.
    let noted = |key: &&Key| matches!(key.state, State::Old { .. }) || key.token_seconds >= policy.token_seconds();
    if let Some(key) = keys.iter().find(|key| !noted(key)) {
        return Some(Step::RaiseLifetime(key.kid.clone()));
    }
    if let Some(over) = keys.iter().find(|key| key.is_over(now)) {
        return Some(Step::Delete(over.kid.clone()));
    }
    let due = !policy.rotate_every.is_zero() && later(current_since, policy.rotate_every) <= now;
    if due { rotation(keys, policy, now, false).ok().map(Step::Rotate) } else { None }
}

fn current(keys: &[Key]) -> Option<(&Key, DateTime<Utc>)> {
    keys.iter().find_map(|key| if let State::Current { since } = key.state { Some((key, since)) } else { None })
}

fn next(keys: &[Key]) -> Option<&Key> {
    keys.iter().find(|key| key.state == State::Next)
}

/// `at` plus `duration`, at most the year 9999, which every database can store.
fn later(at: DateTime<Utc>, duration: Duration) -> DateTime<Utc> {
    const LAST: DateTime<Utc> = match DateTime::from_timestamp(253_402_214_400, 0) {
        Some(last) => last,
        None => DateTime::<Utc>::MAX_UTC,
    };
    let sum = TimeDelta::from_std(duration).ok().and_then(|delta| at.checked_add_signed(delta));
    sum.map_or(LAST, |sum| sum.min(LAST))
}

#[cfg(test)]
mod tests;
