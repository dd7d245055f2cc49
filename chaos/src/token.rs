//! Tokens that the gateways of a run trust.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde::Serialize;

/// Longer than any run.
const LIFETIME: Duration = Duration::from_secs(24 * 3_600);

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    name: &'a str,
    exp: u64,
}

/// A token of that user, HS256.
pub fn token(user: &str, secret: &str) -> Result<String> {
    let exp = (SystemTime::now() + LIFETIME).duration_since(UNIX_EPOCH)?.as_secs();
    let key = EncodingKey::from_secret(secret.as_bytes());
    Ok(encode(&Header::default(), &Claims { sub: user, name: user, exp }, &key)?)
}
