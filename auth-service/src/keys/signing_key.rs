//! An Ed25519 key pair: generated here, and turned into the types that sign and verify.
//!
//! Guarantees: the private part leaves this module only as bytes to be stored and as the signer's key; our own copies
//! of it are overwritten when they are dropped; `Debug` shows only the `kid`.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{
    SigningKey,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _},
};
use jackfield_shared::ids::new_id;
use jsonwebtoken::{
    EncodingKey,
    jwk::{
        AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, KeyAlgorithm, OctetKeyPairParameters,
        OctetKeyPairType, PublicKeyUse,
    },
};
use rand::TryCryptoRng;
use zeroize::Zeroizing;

/// Why a key cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system has no random bytes.
    #[error("cannot read random bytes from the system")]
    Random,
    /// The stored bytes are not an Ed25519 key.
    #[error("the stored signing key {0} is not an Ed25519 key in PKCS #8: restore its row from a backup")]
    Unreadable(String),
    /// The stored key is sealed, and there is no secret to open it.
    #[error("the stored signing key {0} is sealed: set `keys.secret` (KEYS_SECRET or KEYS_SECRET_FILE)")]
    Sealed(String),
    /// The stored key was sealed with another secret, or its row was changed.
    #[error(
        "the stored signing key {0} does not open with this secret: set `keys.secret` (KEYS_SECRET or \
         KEYS_SECRET_FILE) to the one that it was sealed with"
    )]
    WrongSecret(String),
    /// The stored key is sealed in a way that this version does not know.
    #[error("the stored signing key {0} was sealed by a newer version: run that version")]
    UnknownSeal(String),
    /// Nothing to sign with.
    #[error("there is no key to sign with")]
    Missing,
}

/// An Ed25519 key pair with its name.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// Its name in tokens and in the key set; a UUID v7.
    pub kid: String,
    /// The private key, DER.
    pub pkcs8: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl KeyPair {
    /// A new key.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn generate(random: &mut impl TryCryptoRng) -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        random.try_fill_bytes(&mut *seed).map_err(|_| KeyError::Random)?;
        let pkcs8 = SigningKey::from_bytes(&seed).to_pkcs8_der().map_err(|_| KeyError::Random)?;
        Ok(Self { kid: new_id(), pkcs8: Zeroizing::new(pkcs8.as_bytes().to_vec()) })
    }

    /// The private key, in the signer's type.
    #[must_use]
    pub fn encoding_key(&self) -> EncodingKey {
        EncodingKey::from_ed_der(&self.pkcs8)
    }

    /// The public part, for everybody.
    ///
    /// # Errors
    /// [`KeyError::Unreadable`].
    pub fn public_jwk(&self) -> Result<Jwk, KeyError> {
        let key = SigningKey::from_pkcs8_der(&self.pkcs8).map_err(|_| KeyError::Unreadable(self.kid.clone()))?;
        let common = CommonParameters {
            public_key_use: Some(PublicKeyUse::Signature),
            key_algorithm: Some(KeyAlgorithm::EdDSA),
            key_id: Some(self.kid.clone()),
            ..CommonParameters::default()
        };
        let pair = OctetKeyPairParameters {
            key_type: OctetKeyPairType::OctetKeyPair,
            curve: EllipticCurve::Ed25519,
            x: URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes()),
        };
        Ok(Jwk { common, algorithm: AlgorithmParameters::OctetKeyPair(pair) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::OsRng;

    #[test]
    fn the_key_set_shows_the_public_part_only() {
        let key = KeyPair::generate(&mut OsRng).unwrap();
        let jwk = serde_json::to_value(key.public_jwk().unwrap()).unwrap();
        let mut members: Vec<_> = jwk.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x"]);
        assert_eq!((&jwk["kty"], &jwk["crv"], &jwk["alg"]), (&"OKP".into(), &"Ed25519".into(), &"EdDSA".into()));
        assert_eq!(jwk["x"].as_str().unwrap().len(), 43);
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let key = KeyPair::generate(&mut OsRng).unwrap();
        assert_eq!(format!("{key:?}"), format!("KeyPair {{ kid: {:?}, .. }}", key.kid));
    }

    #[test]
    fn an_invalid_key_is_reported_by_its_kid() {
        let broken = KeyPair { kid: "k1".into(), pkcs8: vec![1, 2, 3].into() };
        assert!(broken.public_jwk().unwrap_err().to_string().contains("k1"));
    }
}
