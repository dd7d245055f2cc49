//! The text of a refresh token, and how one follows from the one before.
//!
//! `jfr_` and, in base64url, the login's id (16 bytes), the token's number in the login (4), and a secret (32). The
//! first secret is random; each later one is an HMAC of the one before, with a key that only the database has. So the
//! service finds a token's successors again without storing any token, and a client or a copy of the database cannot.
//!
//! Has no `Debug` and no `Display`: a refresh token must not be logged.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use rand::TryCryptoRng;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zeroize::Zeroize as _;

const PREFIX: &str = "jfr_";
const BYTES: usize = 52;
/// Characters of 52 bytes in base64url.
const TEXT: usize = 70;

/// The key that makes a token's successor.
pub type Nonce = [u8; 32];
/// The SHA-256 of a token.
pub type TokenHash = [u8; 32];

/// A refresh token.
#[derive(Clone)]
pub struct RefreshToken {
    login: Uuid,
    number: u32,
    secret: [u8; 32],
}

/// The system has no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("cannot read random bytes from the system")]
pub struct NoRandomness;

/// 32 random bytes.
///
/// # Errors
/// [`NoRandomness`].
pub fn random_bytes(random: &mut impl TryCryptoRng) -> Result<[u8; 32], NoRandomness> {
    let mut bytes = [0; 32];
    random.try_fill_bytes(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

impl RefreshToken {
    /// The first token of a login.
    #[must_use]
    pub fn first(login: Uuid, secret: [u8; 32]) -> Self {
        Self { login, number: 0, secret }
    }

    /// Reads what a client sent.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix(PREFIX).filter(|text| text.len() == TEXT)?;
        let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let token = Self::from_bytes(&bytes);
        bytes.zeroize();
        token
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (login, rest) = bytes.split_first_chunk()?;
        let (number, secret) = rest.split_first_chunk()?;
        let secret = secret.try_into().ok()?;
        Some(Self { login: Uuid::from_bytes(*login), number: u32::from_be_bytes(*number), secret })
    }

    /// The text for the client.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut bytes = self.to_bytes();
        let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        bytes.zeroize();
        text
    }

    fn to_bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..16].copy_from_slice(self.login.as_bytes());
        bytes[16..20].copy_from_slice(&self.number.to_be_bytes());
        bytes[20..].copy_from_slice(&self.secret);
        bytes
    }

    /// The login that it belongs to, or claims to.
    #[must_use]
    pub fn login(&self) -> Uuid {
        self.login
    }

    /// Its number in the login, from 0.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The hash that is stored.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        let mut bytes = self.to_bytes();
        let hash = Sha256::digest(bytes).into();
        bytes.zeroize();
        hash
    }

    /// The token `steps` rotations later. The last number has itself as its successor.
    #[must_use]
    pub fn after(&self, nonce: &Nonce, steps: u32) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let key = Hmac::<Sha256>::new_from_slice(nonce).expect("any length");
        let mut token = self.clone();
        for _ in 0..steps {
            let Some(number) = token.number.checked_add(1) else { break };
            let mac = key.clone().chain_update(token.secret).chain_update(number.to_be_bytes());
            token.secret = mac.finalize().into_bytes().into();
            token.number = number;
        }
        token
    }
}

impl Drop for RefreshToken {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_token_survives_its_text(login: u128, secret: [u8; 32], nonce: Nonce, steps in 0_u32..5) {
            let token = RefreshToken::first(Uuid::from_u128(login), secret).after(&nonce, steps);
            let text = token.to_text();
            prop_assert_eq!(text.len(), PREFIX.len() + TEXT);
            let read = RefreshToken::parse(&text).unwrap();
            prop_assert_eq!((read.login, read.number, read.secret), (token.login, steps, token.secret));
            prop_assert_eq!(read.hash(), token.hash());
        }

        #[test]
        fn no_other_text_is_the_same_token(
            login: u128, secret: [u8; 32], at in 0_usize..TEXT, letter in "[A-Za-z0-9_-]",
        ) {
            let token = RefreshToken::first(Uuid::from_u128(login), secret);
            let mut text = token.to_text();
            let at = PREFIX.len() + at;
            prop_assume!(text[at..=at] != letter);
            text.replace_range(at..=at, &letter);
            prop_assert!(RefreshToken::parse(&text).is_none_or(|other| other.hash() != token.hash()));
        }

        #[test]
        fn any_text_is_read_without_panic(text: String) {
            prop_assert!(RefreshToken::parse(&text).is_none());
            let _ = RefreshToken::parse(&format!("{PREFIX}{text}"));
        }

        #[test]
        fn steps_add_up(secret: [u8; 32], nonce: Nonce, first in 0_u32..50, second in 0_u32..50) {
            let token = RefreshToken::first(Uuid::nil(), secret);
            let together = token.after(&nonce, first + second);
            prop_assert_eq!(token.after(&nonce, first).after(&nonce, second).hash(), together.hash());
        }
    }

    #[test]
    fn tokens_differ_by_login_number_secret_and_nonce() {
        let token = RefreshToken::first(Uuid::nil(), [1; 32]);
        let others = [
            RefreshToken::first(Uuid::max(), [1; 32]),
            RefreshToken::first(Uuid::nil(), [2; 32]),
            token.after(&[0; 32], 1),
            token.after(&[1; 32], 1),
            token.after(&[0; 32], 2),
        ];
        let hashes: std::collections::HashSet<_> = others.iter().chain([&token]).map(RefreshToken::hash).collect();
        assert_eq!(hashes.len(), 6);
    }

    #[test]
    fn the_last_number_does_not_overflow() {
        let last = RefreshToken { login: Uuid::nil(), number: u32::MAX, secret: [0; 32] };
        assert_eq!(last.after(&[0; 32], 3).number(), u32::MAX);
    }
}
