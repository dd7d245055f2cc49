//! Verifies tokens offline and returns the user that they identify.
//!
//! Guarantees: the algorithm is the key's, never the token's; `exp` holds to the second, `nbf` within a few seconds;
//! `iss` and `aud` are checked if the configuration names them; tokens with an unknown `kid` cause at most one fetch of
//! the key set per cooldown, all together. The last good key set stays in use while the issuer is away. Tokens signed
//! with a private key, which are expensive to verify, are remembered until their `exp` or until the key set changes: see
//! [`remembered`]. Does not check revocations.

mod remembered;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header, errors::ErrorKind, jwk::JwkSet};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use self::remembered::Remembered;
use crate::{
    claims::{Identity, Mark, Marks},
    jwks::{KeySet, fetch_jwks},
    time::unix_now,
};

/// How often the key set is fetched again, so that the next key is known before it signs.
const REFRESH: Duration = Duration::from_secs(300);
/// Between two fetches that tokens with an unknown `kid` cause, or any token while there are no keys.
const COOLDOWN: Duration = Duration::from_secs(10);
const RETRY_WITHOUT_KEYS: Duration = Duration::from_millis(500);
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes. Longer tokens are refused before anything is parsed.
pub const MAX_TOKEN: usize = 8 * 1024;
const MAX_USER_ID: usize = 128;
/// Seconds by which the issuer's clock may be ahead of ours: for `nbf`, never for `exp`. `iat` is not checked.
const LEEWAY: u64 = 5;

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Malformed, wrongly signed, of another issuer or audience, or without a user.
    #[error("invalid_token")]
    Invalid,
    /// Correctly signed, but past its `exp`.
    #[error("token_expired")]
    Expired,
    /// No key is loaded, so the token cannot be verified: a temporary state.
    #[error("unavailable")]
    KeysUnavailable,
}

/// The source of the keys.
pub enum KeySource {
    /// One HS256 secret that the issuer shares with us.
    Secret(String),
    /// A JWK Set at this URL.
    Url(String),
    /// A JWK Set that this process maintains itself.
    Local(watch::Receiver<JwkSet>),
}

/// Verifies tokens of one issuer.
pub struct Verifier {
    source: KeySource,
    keys: ArcSwap<Keys>,
    http: reqwest::Client,
    last_fetch: Mutex<Option<Instant>>,
    issuer: Option<String>,
    audience: Option<String>,
}

/// The current keys, and what was verified with them.
#[derive(Default)]
struct Keys {
    set: KeySet,
    /// The set as it was published, to notice a change.
    published: Option<JwkSet>,
    remembered: parking_lot::Mutex<Remembered>,
}

/// The claims that we read of a token, ours or a foreign issuer's.
#[derive(Deserialize)]
struct ForeignClaims {
    sub: Option<Value>,
    id: Option<Value>,
    name: Option<String>,
    #[serde(rename = "fullName")]
    full_name: Option<String>,
    email: Option<String>,
    #[serde(default)]
    roles: Option<Vec<String>>,
    sid: Option<Value>,
    jti: Option<Value>,
    iat: Option<Value>,
    exp: u64,
}

impl Verifier {
    /// A verifier; `issuer` and `audience` are checked if given.
    #[must_use]
    pub fn new(source: KeySource, issuer: Option<String>, audience: Option<String>) -> Arc<Self> {
        let keys = match &source {
            KeySource::Secret(secret) => Keys { set: KeySet::from_secret(secret.as_bytes()), ..Keys::default() },
            KeySource::Url(_) => Keys::default(),
            KeySource::Local(set) => Keys::published(set.borrow().clone()),
        };
        Arc::new(Self {
            source,
            keys: ArcSwap::from_pointee(keys),
            http: reqwest::Client::builder().timeout(FETCH_TIMEOUT).build().unwrap_or_default(),
            last_fetch: Mutex::new(None),
            issuer,
            audience,
        })
    }

    /// Whether any key is loaded.
    #[must_use]
    pub fn ready(&self) -> bool {
        !self.keys.load().set.is_empty()
    }

    /// Keeps the keys fresh until `stop`. Returns at once for a shared secret.
    pub async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        match &self.source {
            KeySource::Secret(_) => {}
            KeySource::Url(url) => loop {
                self.fetch(url).await;
                let pause = if self.ready() { REFRESH } else { RETRY_WITHOUT_KEYS };
                if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                    return;
                }
            },
            KeySource::Local(set) => {
                let mut set = set.clone();
                while let Some(Ok(())) = stop.run_until_cancelled(set.changed()).await {
                    let published = set.borrow_and_update().clone();
                    self.replace(published);
                }
            }
        }
    }

    /// The user that `token` identifies. `Bearer ` in front is optional.
    pub async fn verify(&self, token: &str) -> Result<Arc<Identity>, TokenError> {
        let token = strip_bearer(token);
        if token.len() > MAX_TOKEN {
            return Err(TokenError::Invalid);
        }
        let key = self.remembers().then(|| remembered::key(token));
        if let Some(key) = &key
            && let Some(identity) = self.keys.load().remembered.lock().find(key, unix_now())
        {
            return Ok(identity);
        }
        let kid = decode_header(token).map_err(|_| TokenError::Invalid)?.kid;
        if self.keys.load().set.find(kid.as_deref()).is_none() {
            self.fetch_for_unknown_key().await;
        }
        let keys = self.keys.load();
        if keys.set.is_empty() {
            return Err(TokenError::KeysUnavailable);
        }
        let verified = self.verify_with(&keys.set, kid.as_deref(), token)?;
        let identity = Arc::new(verified);
        if let Some(key) = key {
            // With the keys that verified it: a new set has forgotten it.
            keys.remembered.lock().insert(key, &identity);
        }
        Ok(identity)
    }

    fn verify_with(&self, keys: &KeySet, kid: Option<&str>, token: &str) -> Result<Identity, TokenError> {
        let key = keys.find(kid).ok_or(TokenError::Invalid)?;
        let validation = validation(key.algorithm, LEEWAY, self.issuer.as_deref(), self.audience.as_deref());
        let data = decode::<ForeignClaims>(token, &key.key, &validation).map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => TokenError::Expired,
            _ => TokenError::Invalid,
        })?;
        identity(data.claims)
    }

    /// Verifying with a secret costs little more than the SHA-256 by which a token is found.
    fn remembers(&self) -> bool {
        !matches!(self.source, KeySource::Secret(_))
    }

    /// Uses this set from now on.
    fn replace(&self, published: JwkSet) {
        if self.keys.load().published.as_ref() != Some(&published) {
            self.keys.store(Arc::new(Keys::published(published)));
        }
    }

    async fn fetch_for_unknown_key(&self) {
        let KeySource::Url(url) = &self.source else { return };
        // The lock makes it single-flight: a caller that waited here finds that the fetch was just done.
        let last = *self.last_fetch.lock().await;
        if last.is_none_or(|at| at.elapsed() >= COOLDOWN) {
            self.fetch(url).await;
        }
    }

    async fn fetch(&self, url: &str) {
        let mut last = self.last_fetch.lock().await;
        if last.is_some_and(|at| at.elapsed() < RETRY_WITHOUT_KEYS) {
            return;
        }
        match fetch_jwks(&self.http, url).await {
            Ok(set) => self.replace(set),
            Err(error) => {
                tracing::warn!(
                    %error,
                    "cannot fetch the issuer's keys, keeping the last ones; check `jwt.jwksUrl` (JWT_JWKS_URL)"
                );
            }
        }
        *last = Some(Instant::now());
    }
}

impl Keys {
    fn published(set: JwkSet) -> Self {
        Self { set: KeySet::from_jwks(&set), published: Some(set), remembered: parking_lot::Mutex::default() }
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

/// An id, which some issuers write as a number.
fn text(id: Value) -> Option<String> {
    match id {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn identity(claims: ForeignClaims) -> Result<Identity, TokenError> {
    let user_id = claims.sub.or(claims.id).and_then(text);
    let user_id = user_id.filter(|id| (1..=MAX_USER_ID).contains(&id.chars().count())).ok_or(TokenError::Invalid)?;
    // Equal texts share their memory, because every connection has an identity.
    let user_id: Arc<str> = user_id.into();
    let email: Option<Arc<str>> = claims.email.map(Into::into);
    let name = claims.name.or(claims.full_name).map(Into::into).or_else(|| email.clone());
    Ok(Identity {
        name: name.unwrap_or_else(|| Arc::clone(&user_id)),
        user_id,
        email,
        roles: claims
            .roles
            .filter(|roles| !roles.is_empty())
            .map_or_else(Arc::default, |roles| roles.into_iter().map(String::into_boxed_str).collect()),
        expires_at: claims.exp,
        marks: Marks {
            issued_at: claims.iat.and_then(|iat| iat.as_f64()).map_or(0, |iat| iat as u64),
            login: claims.sid.and_then(text).as_deref().map(Mark::of),
            token: claims.jti.and_then(text).as_deref().map(Mark::of),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::Lifecycle;
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    fn sign(secret: &str, claims: &Value) -> String {
        encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    }

    fn verifier() -> Arc<Verifier> {
        Verifier::new(KeySource::Secret("right".into()), None, None)
    }

    #[tokio::test]
    async fn accepts_sub_or_id_with_and_without_bearer() {
        let exp = unix_now() + 60;
        let by_sub = sign("right", &json!({"sub": "u1", "name": "Ann", "exp": exp}));
        let by_id = sign("right", &json!({"id": 7, "exp": exp}));
        let ann = verifier().verify(&format!("bearer {by_sub}")).await.unwrap();
        assert_eq!((&*ann.user_id, &*ann.name, ann.expires_at), ("u1", "Ann", exp));
        let seven = verifier().verify(&by_id).await.unwrap();
        assert_eq!((&*seven.user_id, &*seven.name), ("7", "7"));
    }

    #[tokio::test]
    async fn refuses_invalid_tokens() {
        let exp = unix_now() + 60;
        let good = json!({"sub": "u1", "exp": exp});
        let none = {
            let body = sign("right", &good);
            let payload = body.split('.').nth(1).unwrap().to_owned();
            format!("eyJhbGciOiJub25lIn0.{payload}.")
        };
        for (token, why) in [
            (sign("wrong", &good), TokenError::Invalid),
            (sign("right", &json!({"sub": "u1", "exp": unix_now() - 60})), TokenError::Expired),
            (sign("right", &json!({"sub": "u1"})), TokenError::Invalid),
            (sign("right", &json!({"exp": exp})), TokenError::Invalid),
            (sign("right", &json!({"sub": "", "exp": exp})), TokenError::Invalid),
            (sign("right", &json!({"sub": "x".repeat(129), "exp": exp})), TokenError::Invalid),
            (sign("right", &json!({"sub": "u1", "exp": exp, "nbf": exp})), TokenError::Invalid),
            (none, TokenError::Invalid),
            ("not a token".into(), TokenError::Invalid),
            (String::new(), TokenError::Invalid),
        ] {
            assert_eq!(verifier().verify(&token).await, Err(why), "{token}");
        }
    }

    #[tokio::test]
    async fn exp_holds_to_the_second_and_nbf_has_leeway() {
        let verified = async |exp: u64, nbf: u64| {
            let claims = json!({"sub": "u1", "exp": exp, "nbf": nbf, "iat": nbf});
            verifier().verify(&sign("right", &claims)).await.map(|ann| ann.expires_at)
        };
        let now = unix_now();
        for ago in [0, 1, 3, 5] {
            assert_eq!(verified(now - ago, now - 60).await, Err(TokenError::Expired), "ended {ago} s ago");
        }
        assert_eq!(verified(now + 60, now + LEEWAY - 1).await, Ok(now + 60));
        assert_eq!(verified(now + 60, now + LEEWAY + 10).await, Err(TokenError::Invalid));
    }

    #[tokio::test]
    async fn checks_issuer_and_audience_if_configured() {
        let verifier = Verifier::new(KeySource::Secret("right".into()), Some("us".into()), Some("them".into()));
        let exp = unix_now() + 60;
        let with = |iss: &str, aud: &str| sign("right", &json!({"sub": "u", "exp": exp, "iss": iss, "aud": aud}));
        assert!(verifier.verify(&with("us", "them")).await.is_ok());
        assert!(verifier.verify(&with("others", "them")).await.is_err());
        assert!(verifier.verify(&with("us", "others")).await.is_err());
        assert!(verifier.verify(&sign("right", &json!({"sub": "u", "exp": exp}))).await.is_err());
    }

    /// Private and public Ed25519 keys as in a JWK: those of RFC 8032, section 7.1.
    const PAIRS: [(&str, &str); 2] = [
        ("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
        ("TM0Imyj_ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U-4pvs", "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"),
    ];

    fn set(pairs: &[(&str, &str)]) -> JwkSet {
        let jwk = |(_, x): &(&str, &str)| json!({"kty": "OKP", "crv": "Ed25519", "kid": x, "x": x});
        serde_json::from_value(json!({ "keys": pairs.iter().map(jwk).collect::<Vec<_>>() })).unwrap()
    }

    fn signed_by((private, kid): (&str, &str), claims: &Value) -> String {
        // The header of PKCS #8 for an Ed25519 key.
        let mut der = b"0.\x02\x01\x000\x05\x06\x03+ep\x04\"\x04 ".to_vec();
        der.extend(BASE64_URL_SAFE_NO_PAD.decode(private).unwrap());
        let header = Header { kid: Some(kid.into()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, claims, &EncodingKey::from_ed_der(&der)).unwrap()
    }

    #[tokio::test]
    async fn tokens_are_remembered_until_the_key_set_changes() {
        let (publish, published) = watch::channel(set(&PAIRS[..1]));
        let verifier = Verifier::new(KeySource::Local(published), None, None);
        let lifecycle = Lifecycle::new();
        lifecycle.spawn(Arc::clone(&verifier).keep_fresh(lifecycle.stopping()));
        let token = signed_by(PAIRS[0], &json!({"sub": "ann", "exp": unix_now() + 600}));
        let other = signed_by(PAIRS[1], &json!({"sub": "bob", "exp": unix_now() + 600}));
        let first = verifier.verify(&token).await.unwrap();
        assert!(Arc::ptr_eq(&first, &verifier.verify(&format!("Bearer {token}")).await.unwrap()));
        let (start, forged) = token.split_at(token.len() - 20);
        let forged = format!("{start}{}", forged.chars().rev().collect::<String>());
        assert_eq!(verifier.verify(&forged).await, Err(TokenError::Invalid));

        // The same keys again, then another key beside the first one, then that one alone.
        let until = async |wanted: &JwkSet| {
            while verifier.keys.load().published.as_ref() != Some(wanted) {
                tokio::task::yield_now().await;
            }
        };
        let before = verifier.keys.load_full();
        verifier.replace(set(&PAIRS[..1]));
        assert!(Arc::ptr_eq(&before, &verifier.keys.load()), "nothing has changed");
        publish.send(set(&PAIRS)).unwrap();
        until(&set(&PAIRS)).await;
        let second = verifier.verify(&token).await.unwrap();
        assert!(first == second && !Arc::ptr_eq(&first, &second), "verified again with the new keys");
        assert_eq!(&*verifier.verify(&other).await.unwrap().user_id, "bob");
        publish.send(set(&PAIRS[1..])).unwrap();
        until(&set(&PAIRS[1..])).await;
        assert_eq!(verifier.verify(&token).await, Err(TokenError::Invalid));
        assert_eq!(&*verifier.verify(&other).await.unwrap().user_id, "bob");
        lifecycle.finish(Duration::from_secs(5)).await;
    }

    #[tokio::test]
    async fn tokens_of_a_shared_secret_are_not_remembered() {
        let (verifier, token) = (verifier(), sign("right", &json!({"sub": "u", "exp": unix_now() + 60})));
        let (first, second) = (verifier.verify(&token).await.unwrap(), verifier.verify(&token).await.unwrap());
        assert!(first == second && !Arc::ptr_eq(&first, &second));
    }
}
