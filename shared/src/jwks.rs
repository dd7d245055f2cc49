//! Verification keys by `kid`, from a JWK Set or from one shared secret.
//!
//! Guarantees: a key is only ever used with the one algorithm its own type fixes, never with what a token says,
//! so neither `alg: none` nor an HMAC made with a public key passes. Private or symmetric members of a fetched set
//! are ignored. Does not fetch: see [`crate::verify`].

use std::collections::HashMap;

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse},
};

/// One key and the algorithm it is good for.
#[derive(Clone)]
pub struct VerificationKey {
    /// The key itself.
    pub key: DecodingKey,
    /// The only algorithm that is accepted with it.
    pub algorithm: Algorithm,
}

/// Keys by `kid`; a token without `kid` is accepted where there is exactly one key.
#[derive(Clone, Default)]
pub struct KeySet {
    by_id: HashMap<String, VerificationKey>,
    only: Option<VerificationKey>,
}

impl KeySet {
    /// The set of a single HS256 secret, good for tokens with and without `kid`.
    #[must_use]
    pub fn from_secret(secret: &[u8]) -> Self {
        let key = VerificationKey { key: DecodingKey::from_secret(secret), algorithm: Algorithm::HS256 };
        Self { by_id: HashMap::new(), only: Some(key) }
    }

    /// The public signing keys of a JWK Set; those of other kinds are left out.
    #[must_use]
    pub fn from_jwks(set: &JwkSet) -> Self {
        let keys: Vec<_> =
            set.keys.iter().filter_map(|jwk| Some((jwk.common.key_id.clone(), public_key(jwk)?))).collect();
        let only = if let [(_, key)] = keys.as_slice() { Some(key.clone()) } else { None };
        let by_id = keys.into_iter().filter_map(|(id, key)| Some((id?, key))).collect();
        Self { by_id, only }
    }

    /// The key for a token's `kid`, if any.
    #[must_use]
    pub fn find(&self, kid: Option<&str>) -> Option<&VerificationKey> {
        match kid {
            Some(kid) if !self.by_id.is_empty() => self.by_id.get(kid),
            _ => self.only.as_ref(),
        }
    }

    /// Whether any token could pass.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty() && self.only.is_none()
    }
}

fn public_key(jwk: &Jwk) -> Option<VerificationKey> {
    if matches!(&jwk.common.public_key_use, Some(usage) if *usage != PublicKeyUse::Signature) {
        return None;
    }
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        _ => return None,
    };
    Some(VerificationKey { key: DecodingKey::from_jwk(jwk).ok()?, algorithm })
}
