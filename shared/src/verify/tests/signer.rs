//! Private keys of every type, the tokens that they sign, and their public halves.

use std::sync::LazyLock;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header, encode,
    jwk::{Jwk, JwkSet},
};
use p256::pkcs8::EncodePrivateKey as _;
use rsa::{RsaPrivateKey, pkcs1::EncodeRsaPrivateKey as _, rand_core::OsRng};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::verify::KeySource;

/// A key that signs tokens, and the `kid` that it is published under.
#[derive(Clone)]
pub(super) struct Signer {
    pub(super) kid: String,
    pub(super) algorithm: Algorithm,
    key: EncodingKey,
    /// The public half as a JWK.
    public: Value,
}

/// RSA keys are expensive to make: one for all tests, and short, but long enough for PS512.
static RSA: LazyLock<EncodingKey> = LazyLock::new(|| {
    let key = RsaPrivateKey::new(&mut OsRng, 1280).unwrap();
    EncodingKey::from_rsa_der(key.to_pkcs1_der().unwrap().as_bytes())
});

/// Private and public Ed25519 keys as in a JWK: those of RFC 8032, section 7.1.
const ED25519: [(&str, &str); 2] = [
    ("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
    ("TM0Imyj_ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U-4pvs", "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"),
];

impl Signer {
    /// A key for this algorithm, of its own if it is of an elliptic curve.
    pub(super) fn new(algorithm: Algorithm, kid: &str) -> Self {
        let key = match algorithm {
            Algorithm::ES256 => {
                let key = p256::SecretKey::random(&mut OsRng).to_pkcs8_der().unwrap();
                EncodingKey::from_ec_der(key.as_bytes())
            }
            Algorithm::ES384 => {
                let key = p384::SecretKey::random(&mut OsRng).to_pkcs8_der().unwrap();
                EncodingKey::from_ec_der(key.as_bytes())
            }
            Algorithm::EdDSA => return Self::ed25519(0, kid),
            _ => RSA.clone(),
        };
        let public = serde_json::to_value(Jwk::from_encoding_key(&key, algorithm).unwrap()).unwrap();
        Self { kid: kid.into(), algorithm, key, public }
    }

    /// One of two Ed25519 keys.
    pub(super) fn ed25519(number: usize, kid: &str) -> Self {
        let (private, public) = ED25519[number];
        // The header of PKCS #8 for an Ed25519 key.
        let mut der = b"0.\x02\x01\x000\x05\x06\x03+ep\x04\"\x04 ".to_vec();
        der.extend(BASE64_URL_SAFE_NO_PAD.decode(private).unwrap());
        let public = json!({ "kty": "OKP", "crv": "Ed25519", "x": public });
        Self { kid: kid.into(), algorithm: Algorithm::EdDSA, key: EncodingKey::from_ed_der(&der), public }
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        self.sign_as(Some(&self.kid), claims)
    }

    pub(super) fn sign_as(&self, kid: Option<&str>, claims: &Value) -> String {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(self.algorithm) };
        encode(&header, claims, &self.key).unwrap()
    }

    /// The public key.
    pub(super) fn jwk(&self) -> Jwk {
        serde_json::from_value(with(self.public.clone(), json!({ "kid": self.kid, "use": "sig" }))).unwrap()
    }
}

/// The key set of these keys.
pub(super) fn jwks(signers: &[&Signer]) -> JwkSet {
    JwkSet { keys: signers.iter().map(|signer| signer.jwk()).collect() }
}

/// As a source that never changes.
pub(super) fn source(signers: &[&Signer]) -> KeySource {
    KeySource::Local(watch::channel(jwks(signers)).1)
}

/// A token signed with a shared secret.
pub(super) fn hs256(secret: &[u8], kid: Option<&str>, claims: &Value) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::HS256) };
    encode(&header, claims, &EncodingKey::from_secret(secret)).unwrap()
}

/// A token without a signature.
pub(super) fn unsigned(header: &Value, claims: &Value) -> String {
    let [header, claims] = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}.")
}

/// `claims` with these fields replaced, and the null ones left out.
pub(super) fn with(mut claims: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { panic!("{changes}") };
    for (name, value) in changes {
        claims[name] = value;
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

/// The least that a token of this issuer needs, an hour before its end.
pub(super) fn claims(iss: &str, sub: &str) -> Value {
    json!({ "iss": iss, "sub": sub, "exp": crate::time::unix_now() + 3_600 })
}
