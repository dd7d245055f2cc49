//! Seals private keys for the database with a secret that is not in it.
//!
//! A sealed key is a version byte, a nonce and the encrypted key with its tag: XChaCha20-Poly1305, whose 24-byte nonce
//! may be random, under a key derived from the secret by HKDF-SHA256. The `kid` is associated data. Guarantees: without
//! the secret a copy of the database signs nothing; a sealed key opens only unchanged and only under its own `kid`.
//! Does not protect against writers of the database, who can give a user any role.

use std::fmt;

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use hkdf::Hkdf;
use rand::TryCryptoRng;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

use super::signing_key::{KeyError, KeyPair};

/// The first byte of a sealed key.
const VERSION: u8 = 1;
const NONCE: usize = 24;
/// Tells this use of the secret from any other. Part of the format: never changes for [`VERSION`] 1.
const PURPOSE: &[u8] = b"jackfield-auth signing keys v1";

/// The setting `keys.secret`. `Debug` does not show it, and its memory is overwritten when it is dropped.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Fewest bytes of a secret: an attacker with a copy of the database can try short ones.
    pub const MIN: usize = 32;

    /// Whether none is set, or one that is long enough.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.0.is_empty() || self.0.len() >= Self::MIN
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "none" } else { "set" })
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Seals and opens private keys with one secret.
pub struct Seal(XChaCha20Poly1305);

impl Seal {
    /// With this secret; none if it is empty.
    #[must_use]
    pub fn new(secret: &Secret) -> Option<Self> {
        if secret.0.is_empty() {
            return None;
        }
        let mut key = Zeroizing::new([0; 32]);
        let derived = Hkdf::<Sha256>::new(None, secret.0.as_bytes()).expand(PURPOSE, &mut *key);
        let cipher = derived.ok().and_then(|()| XChaCha20Poly1305::new_from_slice(&*key).ok());
        #[expect(clippy::expect_used, reason = "without a panic, keys would be stored plain although a secret is set")]
        Some(Self(cipher.expect("HKDF derives 32 bytes, and the cipher takes 32")))
    }

    /// The private part of `pair` for the database.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn seal(&self, pair: &KeyPair, random: &mut impl TryCryptoRng) -> Result<Vec<u8>, KeyError> {
        let mut nonce = [0; NONCE];
        random.try_fill_bytes(&mut nonce).map_err(|_| KeyError::Random)?;
        self.seal_with(nonce, pair)
    }

    fn seal_with(&self, nonce: [u8; NONCE], pair: &KeyPair) -> Result<Vec<u8>, KeyError> {
        let payload = Payload { msg: &pair.pkcs8, aad: pair.kid.as_bytes() };
        // It fails only for messages of many gigabytes.
        let encrypted = self.0.encrypt(&XNonce::from(nonce), payload).map_err(|_| KeyError::Random)?;
        Ok([&[VERSION], nonce.as_slice(), &encrypted].concat())
    }

    /// The key pair whose private part is sealed in `stored`.
    ///
    /// # Errors
    /// [`KeyError::WrongSecret`] or [`KeyError::UnknownSeal`].
    pub fn open(&self, kid: &str, stored: &[u8]) -> Result<KeyPair, KeyError> {
        let wrong = || KeyError::WrongSecret(kid.to_owned());
        let (version, rest) = stored.split_first().ok_or_else(wrong)?;
        if *version != VERSION {
            return Err(KeyError::UnknownSeal(kid.to_owned()));
        }
        let (nonce, encrypted) = rest.split_first_chunk::<NONCE>().ok_or_else(wrong)?;
        let payload = Payload { msg: encrypted, aad: kid.as_bytes() };
        let pkcs8 = self.0.decrypt(&XNonce::from(*nonce), payload).map_err(|_| wrong())?;
        Ok(KeyPair { kid: kid.to_owned(), pkcs8: pkcs8.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::rngs::OsRng;

    fn seal(letter: char) -> Seal {
        Seal::new(&Secret(letter.to_string().repeat(Secret::MIN))).unwrap()
    }

    #[test]
    fn a_sealed_key_opens_with_its_secret_and_its_kid_only() {
        let pair = KeyPair::generate(&mut OsRng).unwrap();
        let sealed = seal('a').seal(&pair, &mut OsRng).unwrap();
        assert_eq!(seal('a').open(&pair.kid, &sealed).unwrap(), pair);
        assert!(matches!(seal('b').open(&pair.kid, &sealed), Err(KeyError::WrongSecret(kid)) if kid == pair.kid));
        assert!(matches!(seal('a').open("another", &sealed), Err(KeyError::WrongSecret(_))));
        let mut newer = sealed;
        newer[0] = 2;
        assert!(matches!(seal('a').open(&pair.kid, &newer), Err(KeyError::UnknownSeal(_))));
    }

    #[test]
    fn the_same_key_is_never_sealed_alike_and_never_shown() {
        let pair = KeyPair::generate(&mut OsRng).unwrap();
        let [first, second] = [(), ()].map(|()| seal('a').seal(&pair, &mut OsRng).unwrap());
        assert!(first != second && first[1..=NONCE] != second[1..=NONCE]);
        assert!(!first.windows(8).any(|part| pair.pkcs8.windows(8).any(|private| private == part)));
    }

    // A key that is sealed today must open with every later version of this program.
    #[test]
    fn the_format_of_version_1_stays() {
        let pair = KeyPair { kid: "kid".into(), pkcs8: b"private".to_vec().into() };
        let sealed = seal('s').seal_with([7; NONCE], &pair).unwrap();
        let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "010707070707070707070707070707070707070707070707079d6b89bf7ea2df73cd393fedab612d9eee615c84b7d90f"
        );
        assert_eq!(seal('s').open("kid", &sealed).unwrap(), pair);
    }

    #[test]
    fn a_secret_has_32_bytes_and_is_not_shown() {
        for (text, valid) in [("", true), ("short", false), (&"x".repeat(31), false), (&"x".repeat(32), true)] {
            assert_eq!(Secret(text.into()).is_valid(), valid, "{text}");
        }
        assert!(!format!("{:?}", Secret("topsecret".repeat(4))).contains("topsecret"));
        assert!(Seal::new(&Secret::default()).is_none());
    }

    proptest! {
        #[test]
        fn changed_bytes_never_open(at in 0_usize..200, flip in 1_u8..=255) {
            let pair = KeyPair::generate(&mut OsRng).unwrap();
            let mut sealed = seal('a').seal(&pair, &mut OsRng).unwrap();
            let at = at % sealed.len();
            sealed[at] ^= flip;
            prop_assert!(seal('a').open(&pair.kid, &sealed).is_err());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            prop_assert!(seal('a').open("k", &bytes).is_err());
        }
    }
}
