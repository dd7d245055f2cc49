//! Does what the stored keys need, and loads them. One round is [`KeyManager::upkeep`].
//!
//! Each change applies only to keys that still are as they were read, so any number of services may work at the same
//! time: the one that comes second changes nothing and reads again.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use super::{
    ring::OpenKey,
    rotation::{Key, Policy, Refusal, Rotation, State, Step, next_step, rotation},
    seal::Seal,
    signing_key::{KeyError, KeyPair},
    table::{KeyTable, StoredKey},
};
use crate::{
    settings::AuthSettings,
    users::{OpenError, Users, UsersError},
};

/// Changes in one round; far more than any state of the keys needs.
const MAX_STEPS: usize = 200;

/// Why keys cannot be loaded or rotated.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database does not answer, or refuses.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// A key cannot be made or used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The keys cannot be rotated now.
    #[error("the keys were not rotated")]
    Refused(#[from] Refusal),
    /// Somebody else has just rotated them.
    #[error("the keys were not rotated: another process changed them at the same time. See `keys list`")]
    Overtaken,
}

/// The stored keys, and the settings for them.
pub struct KeyManager {
    table: KeyTable,
    seal: Option<Seal>,
    policy: Policy,
}

impl KeyManager {
    /// For the keys in the same database as `users`.
    #[must_use]
    pub fn new(users: &Users, settings: &AuthSettings) -> Self {
        let seal = Seal::new(&settings.keys.secret);
        let policy = Policy {
            rotate_every: settings.keys.rotate_every,
            publish_before: settings.keys.publish_before,
            token_lifetime: settings.token.lifetime,
            seals: seal.is_some(),
        };
        Self { table: users.keys(), seal, policy }
    }

    /// Creates what is missing, seals what is plain, rotates if it is due, deletes what is over. Returns all keys.
    ///
    /// # Errors
    /// [`KeysError`].
    pub async fn upkeep(&self, now: DateTime<Utc>) -> Result<Vec<OpenKey>, KeysError> {
        self.upkeep_by(&self.policy, now).await
    }

    async fn upkeep_by(&self, policy: &Policy, now: DateTime<Utc>) -> Result<Vec<OpenKey>, KeysError> {
        for _ in 0..MAX_STEPS {
            // Opening all keys comes before every change: a service with a wrong secret must not add keys of its own.
            let keys = self.load().await?;
            let Some(step) = next_step(&infos(&keys), policy, now) else { return Ok(keys) };
            self.take(step, &keys, now).await?;
        }
        self.load().await
    }

    /// Rotates now. `force` ignores the setting `keys.publishBefore`. Returns the kid of the new next key, too.
    ///
    /// # Errors
    /// [`KeysError`].
    pub async fn rotate(&self, now: DateTime<Utc>, force: bool) -> Result<(Rotation, String), KeysError> {
        // One rotation is asked for: a scheduled one must not come before it.
        let policy = Policy { rotate_every: Duration::ZERO, ..self.policy };
        let keys = self.upkeep_by(&policy, now).await?;
        let rotation = rotation(&infos(&keys), &policy, now, force)?;
        let next = self.new_key(State::Next, now)?;
        match self.table.rotate(&rotation, &next).await? {
            true => Ok((rotation, next.key.kid)),
            false => Err(KeysError::Overtaken),
        }
    }

    async fn load(&self) -> Result<Vec<OpenKey>, KeysError> {
        let keys = self.table.all().await?;
        Ok(keys.into_iter().map(|stored| self.open(stored)).collect::<Result<_, _>>()?)
    }

    fn open(&self, stored: StoredKey) -> Result<OpenKey, KeyError> {
        let StoredKey { key, private } = stored;
        let pair = match (&self.seal, key.sealed) {
            (_, false) => KeyPair { kid: key.kid.clone(), pkcs8: private },
            (Some(seal), true) => seal.open(&key.kid, &private)?,
            (None, true) => return Err(KeyError::Sealed(key.kid)),
        };
        Ok(OpenKey { key, pair })
    }

    async fn take(&self, step: Step, keys: &[OpenKey], now: DateTime<Utc>) -> Result<(), KeysError> {
        match step {
            Step::CreateCurrent => {
                let current = self.new_key(State::Current { since: now }, now)?;
                self.table.insert(&current).await?;
            }
            Step::CreateNext => {
                let next = self.new_key(State::Next, now)?;
                self.table.insert(&next).await?;
            }
            Step::Seal(kid) => {
                if let (Some(seal), Some(open)) = (&self.seal, keys.iter().find(|open| open.key.kid == kid))
                    && self.table.seal(&kid, &seal.seal(&open.pair, &mut OsRng)?).await?
                {
                    tracing::info!(kid, "sealed a signing key with `keys.secret`");
                }
            }
            Step::RaiseLifetime(kid) => {
                self.table.raise_lifetime(&kid, self.policy.token_seconds()).await?;
            }
            Step::Rotate(rotation) => {
                if self.table.rotate(&rotation, &self.new_key(State::Next, now)?).await? {
                    tracing::info!(from = rotation.retired, to = rotation.promoted, "rotated the signing keys");
                }
            }
            Step::Delete(kid) => {
                if self.table.delete(&kid).await? {
                    tracing::info!(kid, "deleted an old signing key: all its tokens have ended");
                }
            }
        }
        Ok(())
    }

    fn new_key(&self, state: State, now: DateTime<Utc>) -> Result<StoredKey, KeyError> {
        let pair = KeyPair::generate(&mut OsRng)?;
        let private = match &self.seal {
            Some(seal) => Zeroizing::new(seal.seal(&pair, &mut OsRng)?),
            None => pair.pkcs8,
        };
        let token_seconds = self.policy.token_seconds();
        let key = Key { kid: pair.kid, state, published: now, token_seconds, sealed: self.seal.is_some() };
        Ok(StoredKey { key, private })
    }
}

fn infos(keys: &[OpenKey]) -> Vec<Key> {
    keys.iter().map(|open| open.key.clone()).collect()
}
