//! Tokens: one user each, signed with the secret that the measured servers trust.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

/// Longer than any run.
const LIFETIME: Duration = Duration::from_secs(24 * 3_600);

/// That many tokens (HS256). Signed before a measurement begins, so that it does not contain the signing.
pub fn signed(count: usize, secret: &str) -> Result<Vec<String>> {
    let exp = (SystemTime::now() + LIFETIME).duration_since(UNIX_EPOCH)?.as_secs();
    let key = EncodingKey::from_secret(secret.as_bytes());
    let token = |number| {
        let user = format!("user-{number}");
        Ok(encode(&Header::default(), &json!({ "sub": user, "name": user, "exp": exp }), &key)?)
    };
    (0..count).map(token).collect()
}
