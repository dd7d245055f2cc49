//! One issuer: its configuration, and the verification of its tokens.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, Validation, decode, decode_header, errors::ErrorKind};
use serde_json::Value;

use super::{
    TokenError,
    foreign_claims::{ClaimNames, ForeignClaims, identity},
    keys::{Current, Keys},
    remembered,
    source::KeySource,
    validation,
};
use crate::{claims::Identity, time::unix_now};

/// Seconds by which the issuer's clock may be ahead of ours: for `nbf`, never for `exp`. `iat` is not checked.
pub(super) const LEEWAY: u64 = 5;

/// The configuration of one issuer.
pub struct IssuerConfig {
    /// The `iss` of its tokens. `None`, for the default issuer only: any that names no other issuer, or none.
    pub issuer: Option<String>,
    /// The accepted `aud`s, of which a token must have one; if empty, any.
    pub audiences: Vec<String>,
    /// The source of its keys.
    pub keys: KeySource,
    /// Its allow-list; keys for other algorithms are ignored.
    pub algorithms: Vec<Algorithm>,
    /// The claims that hold its users' identities.
    pub claims: ClaimNames,
    /// Put in front of its users' ids, so that they stay apart from those of other issuers.
    pub user_prefix: String,
}

impl IssuerConfig {
    /// An issuer with the default algorithms and claims, and without a prefix.
    #[must_use]
    pub fn new(keys: KeySource, issuer: Option<String>, audience: Option<String>) -> Self {
        let (audiences, algorithms) = (audience.into_iter().collect(), default_algorithms(&keys));
        Self { issuer, audiences, keys, algorithms, claims: ClaimNames::default(), user_prefix: String::new() }
    }
}

/// The allow-list of an issuer whose configuration has none.
#[must_use]
pub fn default_algorithms(keys: &KeySource) -> Vec<Algorithm> {
    match keys {
        KeySource::Secret(_) => vec![Algorithm::HS256],
        _ => vec![Algorithm::EdDSA, Algorithm::RS256, Algorithm::ES256],
    }
}

/// See the module.
pub(super) struct Issuer {
    pub(super) keys: Arc<Keys>,
    issuer: Option<String>,
    /// The checks of a token's claims, for any algorithm.
    checks: Validation,
    claims: ClaimNames,
    user_prefix: String,
    /// No user of this issuer may have an id that begins with one of these: it would be another issuer's user.
    reserved: Vec<String>,
    /// Verifying with a secret costs little more than the SHA-256 by which a token is found.
    remembers: bool,
}

impl Issuer {
    /// `prefixes` are the user prefixes of all issuers.
    pub(super) fn new(config: IssuerConfig, prefixes: &[String], http: &reqwest::Client) -> Self {
        let IssuerConfig { issuer, audiences, keys, algorithms, claims, user_prefix } = config;
        let mut checks =
            validation(Algorithm::default(), LEEWAY, issuer.as_deref(), audiences.first().map(String::as_str));
        if !audiences.is_empty() {
            checks.set_audience(&audiences);
        }
        let reserved = prefixes.iter().filter(|other| **other != user_prefix && other.starts_with(&user_prefix));
        Self {
            remembers: !matches!(keys, KeySource::Secret(_)),
            keys: Keys::new(issuer.clone().unwrap_or_else(|| "default".into()), keys, algorithms, http),
            issuer,
            checks,
            claims,
            reserved: reserved.cloned().collect(),
            user_prefix,
        }
    }

    /// The user that `token` identifies.
    pub(super) async fn verify(&self, token: &str) -> Result<Arc<Identity>, TokenError> {
        let key = self.remembers.then(|| remembered::key(token));
        if let Some(key) = &key
            && let Some(identity) = self.keys.current().remembered.lock().find(key, unix_now())
        {
            return Ok(identity);
        }
        let kid = decode_header(token).map_err(|_| TokenError::Invalid)?.kid;
        let keys = self.keys.with(kid.as_deref()).await?;
        let identity = Arc::new(self.verify_with(&keys, kid.as_deref(), token)?);
        if let Some(key) = key {
            // With the keys that verified it: a new set has forgotten it.
            keys.remembered.lock().insert(key, &identity);
        }
        Ok(identity)
    }

    fn verify_with(&self, keys: &Current, kid: Option<&str>, token: &str) -> Result<Identity, TokenError> {
        let key = keys.set.find(kid).ok_or(TokenError::Invalid)?;
        let mut checks = self.checks.clone();
        checks.algorithms = vec![key.algorithm];
        let claims = decode::<ForeignClaims>(token, &key.key, &checks).map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => TokenError::Expired,
            _ => TokenError::Invalid,
        })?;
        let claims = claims.claims;
        // `decode` also accepts a list that contains the issuer.
        if self.issuer.is_some() && claims.get("iss").and_then(Value::as_str) != self.issuer.as_deref() {
            return Err(TokenError::Invalid);
        }
        let identity = identity(&claims, &self.claims, &self.user_prefix)?;
        if self.reserved.iter().any(|prefix| identity.user_id.starts_with(prefix)) {
            return Err(TokenError::Invalid);
        }
        Ok(identity)
    }
}
