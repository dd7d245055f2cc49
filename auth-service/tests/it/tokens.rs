//! Tokens that check-status must refuse.

use crate::harness::{Database, TestServer, on_both};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::Utc;
use jackfield_auth::{
    keys::{KeyPair, KeyRing},
    settings::Token,
    tokens::Tokens,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rand::rngs::OsRng;
use serde_json::{Value, json};

on_both!(only_own_valid_tokens_pass, a_token_of_a_deleted_user_is_refused);

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

async fn only_own_valid_tokens_pass(database: Database) {
    let server = TestServer::on(&database).start().await;
    let good = server.register("ann@mail.com").await.ok(201).token().to_owned();
    let [head, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).unwrap()).unwrap();
    assert_eq!(header["alg"], "EdDSA");
    let kid = header["kid"].as_str().unwrap();

    let none = part(&json!({ "alg": "none", "typ": "JWT", "kid": kid }));
    // A naive verifier takes the public key for a shared secret.
    let jwks = server.get("/.well-known/jwks.json").await.ok(200);
    let public = jwks.body["keys"][0]["x"].as_str().unwrap();
    let mut hmac = Header::new(Algorithm::HS256);
    hmac.kid = Some(kid.to_owned());
    let confused = |secret: &[u8]| encode(&hmac, &claims, &EncodingKey::from_secret(secret)).unwrap();
    let mut others = KeyPair::generate(&mut OsRng).unwrap();
    others.kid = kid.to_owned();
    let mut eddsa = Header::new(Algorithm::EdDSA);
    eddsa.kid = Some(kid.to_owned());
    let signed = |key: &KeyPair, claims: &Value| encode(&eddsa, claims, &key.encoding_key()).unwrap();
    let own = database.keys(&[]).await.upkeep(Utc::now()).await.unwrap().remove(0).pair;
    let with = |key: &str, value: Value| {
        let mut changed = claims.clone();
        changed[key] = value;
        signed(&own, &changed)
    };
    let now = claims["iat"].as_u64().unwrap();

    for (why, token) in [
        ("alg none", format!("{none}.{payload}.")),
        ("alg none with the signature", format!("{none}.{payload}.{signature}")),
        ("key confusion, as text", confused(public.as_bytes())),
        ("key confusion, as bytes", confused(&URL_SAFE_NO_PAD.decode(public).unwrap())),
        ("another's key under our name", signed(&others, &claims)),
        ("changed claims", format!("{head}.{}.{signature}", part(&json!({ "sub": "x" })))),
        ("expired", with("exp", json!(now - 10))),
        ("not yet", with("nbf", json!(now + 1_000))),
        ("another issuer", with("iss", json!("others"))),
        ("another audience", with("aud", json!("others"))),
        ("no user's id", with("sub", json!("7"))),
        ("rubbish", "rubbish".into()),
        ("long rubbish", "x".repeat(9_000)),
    ] {
        let reply = server.check_status(&token).await;
        assert_eq!((reply.status.as_u16(), reply.body["code"].as_str()), (401, Some("invalid_token")), "{why}");
    }
    server.get("/api/auth/check-status").await.error(401, "invalid_token");
    server.check_status(&with("jti", json!("x"))).await.ok(200);
    server.check_status(&good).await.ok(200);
}

async fn a_token_of_a_deleted_user_is_refused(database: Database) {
    let server = TestServer::on(&database).start().await;
    let keys = database.keys(&[]).await.upkeep(Utc::now()).await.unwrap();
    let tokens = Tokens::new(Token::default(), KeyRing::new(&keys, Utc::now()).unwrap());
    let now = jackfield_shared::time::unix_now();
    let deleted = jackfield_auth::users::User {
        id: uuid::Uuid::now_v7(),
        email: "gone@mail.com".into(),
        full_name: "Gone".into(),
        is_active: true,
        roles: Vec::new(),
    };
    let token = tokens.issue(&deleted, &uuid::Uuid::now_v7().to_string(), now, now + 60).unwrap();
    server.check_status(&token).await.error(401, "invalid_token");
}
