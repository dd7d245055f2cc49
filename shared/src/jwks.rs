//! Verification keys by `kid`, from a JWK Set or from one shared secret.
//!
//! Guarantees: a key is only ever used with one algorithm: the one that its JWK names if that fits its type, else its
//! type's default; never the one that a token names, so neither `alg: none` nor an HMAC made with a public key passes.
//! Private and symmetric members of a set are ignored, and so are keys of unknown types. An issuer's answer is read up
//! to a bounded size. [`crate::verify`] decides when to fetch.

use std::{collections::HashMap, path::Path};

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;

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
    /// The file cannot be read.
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// Neither an answer nor an error came in time.
    #[error("no answer in time")]
    TimedOut,
    /// The answer is too long.
    #[error("the JWK Set is larger than {MAX_SET} bytes")]
    TooLong,
    /// The answer is not a JWK Set.
    #[error("the answer is not a JWK Set")]
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
    parse_jwks(&body)
}

/// Reads the JWK Set in a file. Stops reading once it is too long.
///
/// # Errors
/// [`FetchError`].
pub async fn read_jwks(path: &Path) -> Result<JwkSet, FetchError> {
    let mut body = Vec::new();
    tokio::fs::File::open(path).await?.take(MAX_SET as u64 + 1).read_to_end(&mut body).await?;
    parse_jwks(&body)
}

/// The JWK Set that this JSON is. Keys of unknown types are left out, as RFC 7517 asks for.
///
/// # Errors
/// [`FetchError`].
pub fn parse_jwks(json: &[u8]) -> Result<JwkSet, FetchError> {
    #[derive(Deserialize)]
    struct Untyped {
        keys: Vec<Value>,
    }
    if json.len() > MAX_SET {
        return Err(FetchError::TooLong);
    }
    let Untyped { keys } = serde_json::from_slice(json).map_err(|_| FetchError::Malformed)?;
    if keys.len() > MAX_KEYS {
        return Err(FetchError::TooManyKeys);
    }
    Ok(JwkSet { keys: keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect() })
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
        Self::from_keys(set, |_| true)
    }

    /// As [`KeySet::from_jwks`], but only the keys whose algorithm is one of these.
    #[must_use]
    pub fn from_jwks_allowing(set: &JwkSet, algorithms: &[Algorithm]) -> Self {
        Self::from_keys(set, |algorithm| algorithms.contains(&algorithm))
    }

    fn from_keys(set: &JwkSet, allowed: impl Fn(Algorithm) -> bool) -> Self {
        let usable = |jwk: &Jwk| public_key(jwk).filter(|key| allowed(key.algorithm));
        let keys: Vec<_> = set.keys.iter().filter_map(|jwk| Some((jwk.common.key_id.clone(), usable(jwk)?))).collect();
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

/// The algorithms that fit a type of key, its default first.
type Fitting<const N: usize> = [(KeyAlgorithm, Algorithm); N];
const RSA: Fitting<6> = [
    (KeyAlgorithm::RS256, Algorithm::RS256),
    (KeyAlgorithm::RS384, Algorithm::RS384),
    (KeyAlgorithm::RS512, Algorithm::RS512),
    (KeyAlgorithm::PS256, Algorithm::PS256),
    (KeyAlgorithm::PS384, Algorithm::PS384),
    (KeyAlgorithm::PS512, Algorithm::PS512),
];
const P256: Fitting<1> = [(KeyAlgorithm::ES256, Algorithm::ES256)];
const P384: Fitting<1> = [(KeyAlgorithm::ES384, Algorithm::ES384)];
const ED25519: Fitting<1> = [(KeyAlgorithm::EdDSA, Algorithm::EdDSA)];

fn public_key(jwk: &Jwk) -> Option<VerificationKey> {
    if matches!(&jwk.common.public_key_use, Some(usage) if *usage != PublicKeyUse::Signature) {
        return None;
    }
    let algorithms = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => RSA.as_slice(),
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => &P256,
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P384 => &P384,
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => &ED25519,
        _ => return None,
    };
    let named = algorithms.iter().find(|(name, _)| jwk.common.key_algorithm == Some(*name));
    let (_, algorithm) = *named.or(algorithms.first())?;
    let key = DecodingKey::from_jwk(jwk).ok()?;
    // The verifiers of these types expect the right length, and that of Ed25519 panics at a shorter key.
    let bytes = match algorithm {
        Algorithm::EdDSA => Some(32),
        Algorithm::ES256 => Some(1 + 2 * 32),
        Algorithm::ES384 => Some(1 + 2 * 48),
        _ => None,
    };
    bytes.is_none_or(|bytes| key.as_bytes().len() == bytes).then_some(VerificationKey { key, algorithm })
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

    /// A point of P-256, and a modulus: public keys of nobody.
    const POINT: (&str, &str) =
        ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");

    #[test]
    fn the_algorithm_is_the_keys_if_it_fits_its_type() {
        let rsa = |alg: &str| json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": alg});
        let curve = |crv: &str, alg: &str| json!({"kty": "EC", "crv": crv, "x": POINT.0, "y": POINT.1, "alg": alg});
        let ed = |alg: &str| json!({"kty": "OKP", "crv": "Ed25519", "x": POINT.0, "alg": alg});
        let mut untold = rsa("");
        untold.as_object_mut().unwrap().remove("alg");
        let (mut long, mut short) = (curve("P-384", "ES384"), ed("EdDSA"));
        (long["x"], long["y"], short["x"]) = ("A".repeat(64).into(), "A".repeat(64).into(), "AQAB".into());
        let mut encrypts = rsa("RS256");
        encrypts["use"] = json!("enc");
        for (jwk, algorithm) in [
            (untold, Some(Algorithm::RS256)),
            (rsa("RS512"), Some(Algorithm::RS512)),
            (rsa("PS384"), Some(Algorithm::PS384)),
            (rsa("ES256"), Some(Algorithm::RS256)),
            (rsa("HS256"), Some(Algorithm::RS256)),
            (rsa("none"), Some(Algorithm::RS256)),
            (encrypts, None),
            (curve("P-256", "ES384"), Some(Algorithm::ES256)),
            (long, Some(Algorithm::ES384)),
            (curve("P-384", "ES384"), None),
            (short, None),
            (curve("P-521", "ES512"), None),
            (ed("Ed25519"), Some(Algorithm::EdDSA)),
            (json!({"kty": "oct", "k": "AQAB", "alg": "HS256"}), None),
        ] {
            let set = parse_jwks(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap();
            let found = KeySet::from_jwks(&set).find(None).map(|key| key.algorithm);
            assert_eq!(found, algorithm, "{jwk}");
            let allowed = KeySet::from_jwks_allowing(&set, &[Algorithm::PS384, Algorithm::ES384]);
            assert_eq!(
                allowed.find(None).map(|key| key.algorithm),
                algorithm.filter(|algorithm| [Algorithm::PS384, Algorithm::ES384].contains(algorithm)),
                "{jwk}"
            );
        }
    }

    #[test]
    fn keys_of_unknown_types_are_left_out() {
        let mut set = keys(1);
        let others = [
            json!({"kty": "OKP", "crv": "X25519", "x": POINT.0, "kid": "x"}),
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AQAB"}),
            json!(7),
        ];
        set["keys"].as_array_mut().unwrap().extend(others);
        let set = parse_jwks(set.to_string().as_bytes()).unwrap();
        assert_eq!(set.keys.len(), 1);
        assert!(KeySet::from_jwks(&set).find(Some("k0")).is_some());
    }

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
