//! The loaded keys of a service at one moment: one signs, all verify.
//!
//! Guarantees: signer, key set and verification keys belong together; a ring never changes, it is replaced as a whole.

use chrono::{DateTime, Utc};
use jackfield_shared::jwks::KeySet;
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::JwkSet};

use super::{
    rotation::{self, Key},
    signing_key::{KeyError, KeyPair},
};

/// A key whose private part is open.
#[derive(Debug, Clone)]
pub struct OpenKey {
    /// The key as it is stored.
    pub key: Key,
    /// Its parts.
    pub pair: KeyPair,
}

/// Has no `Debug`: it holds a private key.
pub struct KeyRing {
    pub(crate) header: Header,
    pub(crate) signer: EncodingKey,
    pub(crate) verifiers: KeySet,
    public: JwkSet,
    kid: String,
    since: DateTime<Utc>,
}

impl KeyRing {
    /// The keys that are published at `now`; the one that is due signs.
    ///
    /// # Errors
    /// [`KeyError::Unreadable`], or [`KeyError::Missing`] if none can sign.
    pub fn new(keys: &[OpenKey], now: DateTime<Utc>) -> Result<Self, KeyError> {
        let published = || keys.iter().filter(|open| !open.key.is_over(now));
        let infos: Vec<Key> = published().map(|open| open.key.clone()).collect();
        let signer = rotation::signer(&infos, now).ok_or(KeyError::Missing)?;
        let pair = published().find(|open| open.key.kid == signer.kid).ok_or(KeyError::Missing)?;
        let public = published().map(|open| open.pair.public_jwk()).collect::<Result<Vec<_>, _>>()?;
        let public = JwkSet { keys: public };
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(signer.kid.clone());
        Ok(Self {
            header,
            signer: pair.pair.encoding_key(),
            verifiers: KeySet::from_jwks(&public),
            public,
            kid: signer.kid.clone(),
            since: signer.since().unwrap_or(now),
        })
    }

    /// The public keys.
    #[must_use]
    pub fn public(&self) -> &JwkSet {
        &self.public
    }

    /// The key that signs.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// When that key began to sign.
    #[must_use]
    pub fn since(&self) -> DateTime<Utc> {
        self.since
    }

    /// Whether both sign with the same key and publish the same set.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.kid == other.kid && self.public == other.public
    }
}
