//! Several issuers at once: whose keys, algorithms and audience count for a token, and whose users are apart.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::signer::{Signer, claims, hs256, source, unsigned, with};
use crate::{
    claims::{Mark, Marks},
    verify::{IssuerConfig, KeySource, TokenError, Verifier},
};

const A: &str = "https://a.example.com/";
const B: &str = "https://b.example.com/";
const SECRET: &str = "a secret that two parties know and nobody else";

fn issuer(iss: &str, prefix: &str, keys: KeySource) -> IssuerConfig {
    IssuerConfig { user_prefix: prefix.into(), ..IssuerConfig::new(keys, Some(iss.into()), None) }
}

/// A signs with Ed25519, B with P-256, both with the `kid` "1".
struct Two {
    a: Signer,
    b: Signer,
    verifier: Arc<Verifier>,
}

fn two() -> Two {
    let (a, b) = (Signer::new(Algorithm::EdDSA, "1"), Signer::new(Algorithm::ES256, "1"));
    let others = vec![issuer(A, "a:", source(&[&a])), issuer(B, "b:", source(&[&b]))];
    Two { a, b, verifier: Verifier::for_issuers(None, others) }
}

async fn user(verifier: &Verifier, token: &str) -> Result<String, TokenError> {
    verifier.verify(token).await.map(|identity| identity.user_id.to_string())
}

#[tokio::test]
async fn users_of_two_issuers_stay_apart() {
    let Two { a, b, verifier } = two();
    assert!(verifier.ready());
    assert_eq!(user(&verifier, &a.sign(&claims(A, "ann"))).await, Ok("a:ann".into()));
    assert_eq!(user(&verifier, &b.sign(&claims(B, "ann"))).await, Ok("b:ann".into()));
    let token = a.sign(&with(claims(A, "ann"), json!({ "sid": "s", "jti": "j", "iat": 7 })));
    let identity = verifier.verify(&token).await.unwrap();
    let marks = Marks { issued_at: 7, login: Some(Mark::of("a:ann", "s")), token: Some(Mark::of("a:ann", "j")) };
    assert_eq!((identity.marks, &*identity.name), (marks, "a:ann"));
    let remembered = verifier.verify(&token).await.unwrap();
    assert!(Arc::ptr_eq(&identity, &remembered));
}

#[tokio::test]
async fn a_token_is_verified_with_its_own_issuers_keys_only() {
    let Two { a, b, verifier } = two();
    for (name, token) in [
        ("of A, signed by B", b.sign(&claims(A, "ann"))),
        ("of B, signed by A", a.sign(&claims(B, "ann"))),
        ("of an unknown issuer", a.sign(&claims("https://c.example.com/", "ann"))),
        ("of an issuer with another spelling", a.sign(&claims("https://a.example.com", "ann"))),
        ("of no issuer", a.sign(&with(claims(A, "ann"), json!({ "iss": null })))),
        ("of two issuers", a.sign(&with(claims(A, "ann"), json!({ "iss": [A, B] })))),
        ("of an issuer that is no text", a.sign(&with(claims(A, "ann"), json!({ "iss": 7 })))),
        ("with another kid", a.sign_as(Some("2"), &claims(A, "ann"))),
        ("without payload", "e30..e30".into()),
        ("no token", "ABC-123".into()),
    ] {
        assert_eq!(user(&verifier, &token).await, Err(TokenError::Invalid), "{name}");
    }
    assert!(user(&verifier, &a.sign_as(None, &claims(A, "ann"))).await.is_ok(), "A has one key only");
}

#[tokio::test]
async fn a_payload_that_names_two_issuers_is_refused() {
    let Two { a, verifier, .. } = two();
    let token = a.sign(&claims(A, "ann"));
    let [header, _, signature]: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let twice = format!(r#"{{"iss":"{A}","iss":"{B}","sub":"ann","exp":9999999999}}"#);
    let payload = BASE64_URL_SAFE_NO_PAD.encode(twice);
    let forged = format!("{header}.{payload}.{signature}");
    assert_eq!(user(&verifier, &forged).await, Err(TokenError::Invalid));
}

#[tokio::test]
async fn the_algorithm_is_the_keys_and_on_the_allow_list() {
    let rsa = Signer::new(Algorithm::RS256, "rsa");
    let ec = Signer::new(Algorithm::ES256, "ec");
    let keys = source(&[&rsa, &ec]);
    let narrow = IssuerConfig { algorithms: vec![Algorithm::ES256], ..issuer(A, "", keys) };
    let verifier = Verifier::for_issuers(None, vec![narrow]);
    let token = claims(A, "ann");
    assert!(user(&verifier, &ec.sign(&token)).await.is_ok());
    assert_eq!(user(&verifier, &rsa.sign(&token)).await, Err(TokenError::Invalid));

    let all = [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ];
    for algorithm in all {
        let signer = Signer::new(algorithm, "k");
        let wide = IssuerConfig { algorithms: all.to_vec(), ..issuer(A, "", source(&[&signer])) };
        let verifier = Verifier::for_issuers(None, vec![wide]);
        assert_eq!(user(&verifier, &signer.sign(&token)).await, Ok("ann".into()), "{algorithm:?}");
        if algorithm != Algorithm::RS256 {
            // Also if it is the same RSA key: it is published for one algorithm.
            let other = rsa.sign_as(Some("k"), &token);
            assert_eq!(user(&verifier, &other).await, Err(TokenError::Invalid), "{algorithm:?}");
        }
    }
}

#[tokio::test]
async fn forged_algorithms_are_refused() {
    let rsa = Signer::new(Algorithm::RS256, "k");
    let verifier = Verifier::for_issuers(None, vec![issuer(A, "", source(&[&rsa]))]);
    let token = claims(A, "ann");
    assert!(user(&verifier, &rsa.sign(&token)).await.is_ok());
    let public = serde_json::to_value(rsa.jwk()).unwrap();
    let modulus = BASE64_URL_SAFE_NO_PAD.decode(public["n"].as_str().unwrap()).unwrap();
    for (name, token) in [
        ("none", unsigned(&json!({ "alg": "none", "kid": "k" }), &token)),
        ("None", unsigned(&json!({ "alg": "None", "kid": "k" }), &token)),
        ("without alg", unsigned(&json!({ "kid": "k" }), &token)),
        ("RS256 without a signature", unsigned(&json!({ "alg": "RS256", "kid": "k" }), &token)),
        ("HS256 over the JWK", hs256(public.to_string().as_bytes(), Some("k"), &token)),
        ("HS256 over n as text", hs256(public["n"].as_str().unwrap().as_bytes(), Some("k"), &token)),
        ("HS256 over the bytes of n", hs256(&modulus, Some("k"), &token)),
        ("HS256 over nothing", hs256(b"", Some("k"), &token)),
    ] {
        assert_eq!(user(&verifier, &token).await, Err(TokenError::Invalid), "{name}");
    }
}

#[tokio::test]
async fn one_of_the_audiences_is_enough() {
    let a = Signer::new(Algorithm::EdDSA, "1");
    let config = IssuerConfig { audiences: vec!["chat".into(), "account".into()], ..issuer(A, "", source(&[&a])) };
    let verifier = Verifier::for_issuers(None, vec![config]);
    for (aud, accepted) in [
        (json!("chat"), true),
        (json!(["other", "account"]), true),
        (json!("other"), false),
        (json!(["other"]), false),
        (json!([]), false),
        (json!(7), false),
        (Value::Null, false),
    ] {
        let token = a.sign(&with(claims(A, "ann"), json!({ "aud": aud })));
        assert_eq!(user(&verifier, &token).await.is_ok(), accepted, "{aud}");
    }
}

#[tokio::test]
async fn the_default_issuer_takes_tokens_that_name_no_other() {
    let a = Signer::new(Algorithm::EdDSA, "1");
    let with_default = |iss: Option<&str>| {
        let default = IssuerConfig::new(KeySource::Secret(SECRET.into()), iss.map(str::to_owned), None);
        Verifier::for_issuers(Some(default), vec![issuer(A, "a:", source(&[&a]))])
    };
    let by_secret = |claims: &Value| hs256(SECRET.as_bytes(), None, claims);
    let nobodys = with(claims("", "ann"), json!({ "iss": null }));
    let (any, strict) = (with_default(None), with_default(Some(B)));
    for verifier in [&any, &strict] {
        assert_eq!(user(verifier, &a.sign(&claims(A, "ann"))).await, Ok("a:ann".into()));
        assert_eq!(user(verifier, &by_secret(&claims(A, "ann"))).await, Err(TokenError::Invalid));
        assert_eq!(user(verifier, &by_secret(&claims(B, "ann"))).await, Ok("ann".into()));
    }
    for other in [nobodys, claims("https://c.example.com/", "ann")] {
        assert_eq!(user(&any, &by_secret(&other)).await, Ok("ann".into()));
        assert_eq!(user(&strict, &by_secret(&other)).await, Err(TokenError::Invalid));
    }
    assert_eq!(user(&strict, &by_secret(&with(claims(B, "u"), json!({ "iss": [B] })))).await, Err(TokenError::Invalid));
}

#[tokio::test]
async fn no_issuer_can_name_users_of_another_one() {
    let [a, b, c] = ["a", "b", "c"].map(|kid| Signer::new(Algorithm::ES256, kid));
    let default = IssuerConfig::new(source(&[&a]), None, None);
    let others = vec![issuer(A, "kc:", source(&[&b])), issuer(B, "kc:x:", source(&[&c]))];
    let verifier = Verifier::for_issuers(Some(default), others);
    for (token, expected) in [
        (a.sign(&claims("", "kc:ann")), None),
        (a.sign(&claims("", "kc:x:ann")), None),
        (a.sign(&claims("", "kc")), Some("kc")),
        (b.sign(&claims(A, "x:ann")), None),
        (b.sign(&claims(A, "kc:ann")), Some("kc:kc:ann")),
        (c.sign(&claims(B, "ann")), Some("kc:x:ann")),
    ] {
        assert_eq!(user(&verifier, &token).await.ok().as_deref(), expected);
    }
}
