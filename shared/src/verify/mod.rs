//! Verifies tokens offline and returns the users that they identify.
//!
//! A token's unverified `iss` chooses its issuer; from then on only that issuer's keys, algorithms and audience count,
//! and the verified `iss` must be the issuer's exactly. The default issuer takes the tokens that name no other one.
//!
//! Guarantees: the algorithm is the key's, never the token's, and is on the issuer's allow-list; `exp` holds to the
//! second, `nbf` within a few seconds; `iss` and `aud` are checked if the configuration names them. An issuer that
//! hangs delays no token of another one: each has [`keys`] of its own. Users of two issuers stay apart if the
//! issuers' prefixes differ. Tokens signed with a private key, which are expensive to verify, are remembered until
//! their `exp` or until the issuer's key set changes: see [`remembered`]. Does not check revocations.

mod foreign_claims;
mod issuer;
mod keys;
mod remembered;
mod source;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use futures_util::future::join_all;
pub use jsonwebtoken::Algorithm;
use jsonwebtoken::{Validation, dangerous::insecure_decode};
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use self::issuer::Issuer;
pub use self::{
    foreign_claims::{ClaimNames, ClaimPath},
    issuer::{IssuerConfig, default_algorithms},
    source::KeySource,
};
use crate::claims::Identity;

/// Bytes. Longer tokens are refused before anything is parsed.
pub const MAX_TOKEN: usize = 8 * 1024;

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Malformed, wrongly signed, of another issuer or audience, or without a user.
    #[error("invalid_token")]
    Invalid,
    /// Correctly signed, but past its `exp`.
    #[error("token_expired")]
    Expired,
    /// The token's key is not loaded and may be a valid one, so the token cannot be verified: a temporary state.
    #[error("unavailable")]
    KeysUnavailable,
}

/// Verifies tokens of all configured issuers.
pub struct Verifier {
    /// For tokens that name no other issuer.
    default: Option<Issuer>,
    /// By their `iss`.
    named: HashMap<String, Issuer>,
}

impl Verifier {
    /// A verifier for one issuer; `issuer` and `audience` are checked if given.
    #[must_use]
    pub fn new(source: KeySource, issuer: Option<String>, audience: Option<String>) -> Arc<Self> {
        Self::for_issuers(Some(IssuerConfig::new(source, issuer, audience)), Vec::new())
    }

    /// A verifier for the default issuer and others, of which each has an `iss` of its own; one without is ignored.
    #[must_use]
    pub fn for_issuers(default: Option<IssuerConfig>, others: Vec<IssuerConfig>) -> Arc<Self> {
        let http = reqwest::Client::new();
        let prefixes: Vec<String> = default.iter().chain(&others).map(|issuer| issuer.user_prefix.clone()).collect();
        let build = |config| Issuer::new(config, &prefixes, &http);
        let named = others.into_iter().filter_map(|config| Some((config.issuer.clone()?, build(config)))).collect();
        Arc::new(Self { default: default.map(build), named })
    }

    /// Whether users can be let in: each issuer's keys were loaded or could not be, and some issuer has keys. One
    /// issuer that is away keeps no users of the others out.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.issuers().all(|issuer| issuer.keys.is_tried()) && self.issuers().any(|issuer| issuer.keys.is_loaded())
    }

    /// Keeps the keys of all issuers fresh until `stop`.
    pub async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        join_all(self.issuers().map(|issuer| Arc::clone(&issuer.keys).keep_fresh(stop.clone()))).await;
    }

    /// The user that `token` identifies. `Bearer ` in front is optional.
    pub async fn verify(&self, token: &str) -> Result<Arc<Identity>, TokenError> {
        let token = strip_bearer(token);
        if token.len() > MAX_TOKEN {
            return Err(TokenError::Invalid);
        }
        self.issuer_of(token)?.verify(token).await
    }

    fn issuers(&self) -> impl Iterator<Item = &Issuer> {
        self.default.iter().chain(self.named.values())
    }

    /// The issuer that has to have signed the token.
    fn issuer_of(&self, token: &str) -> Result<&Issuer, TokenError> {
        #[derive(Deserialize)]
        struct Unverified {
            iss: Option<Value>,
        }
        let mut issuer = self.default.as_ref();
        if !self.named.is_empty() {
            let iss = insecure_decode::<Unverified>(token).map_err(|_| TokenError::Invalid)?.claims.iss;
            let named = iss.as_ref().and_then(Value::as_str).and_then(|iss| self.named.get(iss));
            issuer = named.or(issuer);
        }
        issuer.ok_or(TokenError::Invalid)
    }
}

/// The checks of a token's claims: `exp` to the second, `nbf` with `leeway` seconds, issuer and audience if given. The
/// algorithm must be the key's.
#[must_use]
pub fn validation(algorithm: Algorithm, leeway: u64, issuer: Option<&str>, audience: Option<&str>) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = leeway;
    // `leeway` extends `exp` as well. An expired token must not evict a good session before its own end is
    // noticed, so undo that; one second more, because RFC 7519 ends a token on its `exp`, not after it.
    validation.reject_tokens_expiring_in_less_than = leeway + 1;
    validation.validate_nbf = true;
    validation.set_required_spec_claims(&["exp"]);
    if let Some(issuer) = issuer {
        validation.set_issuer(&[issuer]);
        validation.required_spec_claims.insert("iss".into());
    }
    match audience {
        Some(audience) => {
            validation.set_audience(&[audience]);
            validation.required_spec_claims.insert("aud".into());
        }
        None => validation.validate_aud = false,
    }
    validation
}

/// `text` without an optional `Bearer ` in front, in any case.
#[must_use]
pub fn strip_bearer(text: &str) -> &str {
    let text = text.trim();
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    if scheme.eq_ignore_ascii_case("bearer") { rest.trim_start() } else { text }
}
