//! One issuer, which is the default: its claims, its key set, and the tokens that are remembered.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::signer::{Signer, hs256, jwks};
use crate::{
    lifecycle::Lifecycle,
    time::unix_now,
    verify::{KeySource, TokenError, Verifier, issuer::LEEWAY},
};

fn sign(secret: &str, claims: &Value) -> String {
    hs256(secret.as_bytes(), None, claims)
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

#[tokio::test(start_paused = true)]
async fn tokens_are_remembered_until_the_key_set_changes() {
    let [one, two] = [0, 1].map(|number| Signer::ed25519(number, &number.to_string()));
    let (publish, published) = watch::channel(jwks(&[&one]));
    // Paused time goes on only when all tasks are idle.
    let publish = async |signers: &[&Signer]| {
        publish.send(jwks(signers)).unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    let verifier = Verifier::new(KeySource::Local(published), None, None);
    let lifecycle = Lifecycle::new();
    lifecycle.spawn(Arc::clone(&verifier).keep_fresh(lifecycle.stopping()));
    let token = one.sign(&json!({"sub": "ann", "exp": unix_now() + 600}));
    let other = two.sign(&json!({"sub": "bob", "exp": unix_now() + 600}));
    let first = verifier.verify(&token).await.unwrap();
    assert!(Arc::ptr_eq(&first, &verifier.verify(&format!("Bearer {token}")).await.unwrap()));
    let (start, forged) = token.split_at(token.len() - 20);
    let forged = format!("{start}{}", forged.chars().rev().collect::<String>());
    assert_eq!(verifier.verify(&forged).await, Err(TokenError::Invalid));
    assert_eq!(verifier.verify(&other).await, Err(TokenError::Invalid));

    publish(&[&one]).await;
    assert!(Arc::ptr_eq(&first, &verifier.verify(&token).await.unwrap()), "nothing has changed");
    publish(&[&one, &two]).await;
    let second = verifier.verify(&token).await.unwrap();
    assert!(first == second && !Arc::ptr_eq(&first, &second), "verified again with the new keys");
    assert_eq!(&*verifier.verify(&other).await.unwrap().user_id, "bob");
    publish(&[&two]).await;
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
