//! Verification keys by `kid`, from a JWK Set or from one shared secret.
//!
//! Guarantees: a key is only ever used with the one algorithm its own type fixes, never with the one a token names,
//! so neither `alg: none` nor an HMAC made with a public key passes. Private or symmetric members of a fetched set
//! are ignored. An issuer's answer is read up to a bounded size. [`crate::verify`] decides when to fetch.

use std::collections::HashMap;

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse},
};

/// Bytes of a JWK Set. A key with its certificates has a few thousand.
const MAX_SET: usize = 1024 * 1024;
/// Keys of a JWK Set. An issuer that rotates keys publishes a few at a time.
const MAX_KEYS: usize = 100;

/// Why a JWK Set could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The issuer did not answer, or not in time, or with an error. Does not show the URL, which may hold a secret.
    #[error("{0}")]
    Http(reqwest::Error),
    /// The answer is too long.
    #[error("the JWK Set is larger than {MAX_SET} bytes")]
    TooLong,
    /// The answer is not a JWK Set.
    #[error("the response is not a JWK Set")]
    Malformed,
    /// There are too many keys.
    #[error("the JWK Set has more than {MAX_KEYS} keys")]
    TooManyKeys,
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error.without_url())
    }
}

/// Fetches the JWK Set at `url`. Stops reading once it is too long.
///
/// # Errors
/// [`FetchError`].
pub async fn fetch_jwks(http: &reqwest::Client, url: &str) -> Result<JwkSet, FetchError> {
    let mut answer = http.get(url).send().await?.error_for_status()?;
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await? {
        if body.len() + part.len() > MAX_SET {
            return Err(FetchError::TooLong);
        }
        body.extend_from_slice(&part);
    }
    let set: JwkSet = serde_json::from_slice(&body).map_err(|_| FetchError::Malformed)?;
    if set.keys.len() > MAX_KEYS { Err(FetchError::TooManyKeys) } else { Ok(set) }
}

/// One key and the algorithm it is good for.
#[derive(Clone)]
pub struct VerificationKey {
    /// The key itself.
    pub key: DecodingKey,
    /// The only algorithm that is accepted with it.
    pub algorithm: Algorithm,
}

/// Keys by `kid`; a token without `kid` is accepted if there is exactly one key.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lifecycle::Lifecycle, serve::serve};
    use axum::{Json, Router, body::Body, routing::get};
    use bytes::Bytes;
    use futures_util::stream;
    use serde_json::{Value, json};
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    use tokio::net::TcpListener;

    fn keys(number: usize) -> Value {
        let key = |n| json!({"kty": "OKP", "crv": "Ed25519", "kid": format!("k{n}"), "x": "A".repeat(43)});
        json!({ "keys": (0..number).map(key).collect::<Vec<_>>() })
    }

    async fn fetched(route: Router) -> Result<usize, FetchError> {
        let lifecycle = Lifecycle::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        lifecycle.spawn(serve(listener, route, None, lifecycle.clone()));
        let set = fetch_jwks(&reqwest::Client::new(), &url).await;
        lifecycle.stop();
        set.map(|set| set.keys.len())
    }

    #[tokio::test]
    async fn a_set_with_too_many_keys_is_refused() {
        let serving = |number| Router::new().route("/keys", get(move || async move { Json(keys(number)) }));
        assert_eq!(fetched(serving(MAX_KEYS)).await.unwrap(), MAX_KEYS);
        assert!(matches!(fetched(serving(MAX_KEYS + 1)).await, Err(FetchError::TooManyKeys)));
        let text = Router::new().route("/keys", get(|| async { "no keys" }));
        assert!(matches!(fetched(text).await, Err(FetchError::Malformed)));
        let absent = fetched(Router::new()).await.unwrap_err().to_string();
        assert!(absent.contains("404") && !absent.contains("/keys"), "{absent}");
    }

    #[tokio::test]
    async fn reading_stops_when_a_response_is_too_long() {
        const PART: usize = 64 * 1024;
        let sent = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&sent);
        let endless = move || {
            let counter = Arc::clone(&counter);
            let part = move |()| {
                let before = counter.fetch_add(PART, Ordering::Relaxed);
                // 64 MiB in all, so that a reader that takes everything fails this test and does not hang in it.
                let part = (before < 64 * MAX_SET).then(|| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; PART])));
                async move { part.map(|part| (part, ())) }
            };
            async move { Body::from_stream(stream::unfold((), part)) }
        };
        let result = fetched(Router::new().route("/keys", get(endless))).await;
        assert!(matches!(result, Err(FetchError::TooLong)), "{result:?}");
        // The bytes sent beyond the limit are in buffers of the connection.
        assert!(sent.load(Ordering::Relaxed) < 16 * MAX_SET, "{} bytes were sent", sent.load(Ordering::Relaxed));
    }
}
