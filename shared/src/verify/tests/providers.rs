//! Tokens as common providers write them.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::signer::{Signer, hs256, source};
use crate::{
    claims::{Identity, Mark},
    time::unix_now,
    verify::{ClaimNames, ClaimPath, IssuerConfig, KeySource, TokenError, Verifier},
};

const SUPABASE_SECRET: &str = "super-secret-jwt-token-with-at-least-32-characters-long";

fn path(text: &str) -> ClaimPath {
    ClaimPath::parse(text).unwrap()
}

async fn verified(config: IssuerConfig, token: &str) -> Result<Identity, TokenError> {
    let verifier = Verifier::for_issuers(None, vec![config]);
    verifier.verify(token).await.map(|identity| (*identity).clone())
}

fn texts(roles: &[Box<str>]) -> Vec<&str> {
    roles.iter().map(|role| &**role).collect()
}

fn keycloak(signer: &Signer) -> IssuerConfig {
    IssuerConfig {
        audiences: vec!["account".into()],
        claims: ClaimNames {
            name: path("name+preferred_username"),
            roles: path("realm_access.roles"),
            ..ClaimNames::default()
        },
        user_prefix: "kc:".into(),
        ..IssuerConfig::new(source(&[signer]), Some("https://id.example.com/realms/main".into()), None)
    }
}

fn keycloak_token(name: &Value) -> Value {
    let now = unix_now();
    json!({
        "exp": now + 300, "iat": now, "auth_time": now - 5, "jti": "onrtac:f8a0",
        "iss": "https://id.example.com/realms/main", "aud": ["account"],
        "sub": "3f2c7a16-9f0a-4a0e-8d3f-5d9c8b1f0a11", "typ": "Bearer", "azp": "chat-web",
        "sid": "7f0c6c1e-2d44-4a55-9c39-2c1f1a9f3b10", "acr": "1", "allowed-origins": ["https://chat.example.com"],
        "realm_access": { "roles": ["offline_access", "moderator", "uma_authorization"] },
        "resource_access": { "account": { "roles": ["manage-account", "view-profile"] } },
        "scope": "openid email profile", "email_verified": true, "name": name,
        "preferred_username": "ann", "given_name": "Ann", "family_name": "Lee", "email": "ann@example.com",
    })
}

#[tokio::test]
async fn keycloak_tokens() {
    let signer = Signer::new(Algorithm::RS256, "FJ86GcF3jTbNLOco4NvZkUCIUmfYCqoqtOQeMfbhNlE");
    let ann = verified(keycloak(&signer), &signer.sign(&keycloak_token(&json!("Ann Lee")))).await.unwrap();
    assert_eq!((&*ann.user_id, &*ann.name), ("kc:3f2c7a16-9f0a-4a0e-8d3f-5d9c8b1f0a11", "Ann Lee"));
    assert_eq!(ann.email.as_deref(), Some("ann@example.com"));
    assert_eq!(texts(&ann.roles), ["offline_access", "moderator", "uma_authorization"]);
    assert_eq!(ann.marks.login, Some(Mark::of(&ann.user_id, "7f0c6c1e-2d44-4a55-9c39-2c1f1a9f3b10")));

    let nameless = verified(keycloak(&signer), &signer.sign(&keycloak_token(&Value::Null))).await.unwrap();
    assert_eq!(&*nameless.name, "ann");
    let mut of_clients = keycloak(&signer);
    of_clients.claims.roles = path("resource_access.account.roles");
    let ann = verified(of_clients, &signer.sign(&keycloak_token(&json!("Ann Lee")))).await.unwrap();
    assert_eq!(texts(&ann.roles), ["manage-account", "view-profile"]);
}

fn supabase(keys: KeySource) -> IssuerConfig {
    IssuerConfig {
        audiences: vec!["authenticated".into()],
        claims: ClaimNames {
            name: path("user_metadata.full_name+user_metadata.name"),
            roles: path("app_metadata.roles+role"),
            login: path("session_id"),
            ..ClaimNames::default()
        },
        user_prefix: "sb:".into(),
        ..IssuerConfig::new(keys, Some("https://abc.supabase.co/auth/v1".into()), None)
    }
}

fn supabase_token(roles: &Value) -> Value {
    let now = unix_now();
    json!({
        "iss": "https://abc.supabase.co/auth/v1", "sub": "a6a83c85-6f3a-4d77-b0a8-0d3c8d3c0b55",
        "aud": "authenticated", "exp": now + 3_600, "iat": now, "email": "ann@example.com", "phone": "",
        "app_metadata": { "provider": "email", "providers": ["email"], "roles": roles },
        "user_metadata": { "full_name": "Ann Lee", "email_verified": true },
        "role": "authenticated", "aal": "aal1", "amr": [{ "method": "password", "timestamp": now }],
        "session_id": "b9e0b5a4-1a1f-4e0f-8a8e-7f2b2d3c4e5f", "is_anonymous": false,
    })
}

#[tokio::test]
async fn supabase_tokens_by_key_set_and_by_secret() {
    let signer = Signer::new(Algorithm::ES256, "c0ffee00-0000-4000-8000-000000000001");
    let claims = supabase_token(&json!(["editor"]));
    let by_secret = hs256(SUPABASE_SECRET.as_bytes(), Some("legacy-kid"), &claims);
    let secret = || KeySource::Secret(SUPABASE_SECRET.into());
    let ann = verified(supabase(source(&[&signer])), &signer.sign(&claims)).await.unwrap();
    assert_eq!(verified(supabase(secret()), &by_secret).await.unwrap(), ann);
    assert_eq!((&*ann.user_id, &*ann.name), ("sb:a6a83c85-6f3a-4d77-b0a8-0d3c8d3c0b55", "Ann Lee"));
    assert_eq!(texts(&ann.roles), ["editor"]);
    assert_eq!(ann.marks.login, Some(Mark::of(&ann.user_id, "b9e0b5a4-1a1f-4e0f-8a8e-7f2b2d3c4e5f")));

    let plain = signer.sign(&supabase_token(&Value::Null));
    assert_eq!(texts(&verified(supabase(source(&[&signer])), &plain).await.unwrap().roles), ["authenticated"]);

    // Neither source accepts tokens made for the other one.
    assert_eq!(verified(supabase(source(&[&signer])), &by_secret).await, Err(TokenError::Invalid));
    assert_eq!(verified(supabase(secret()), &signer.sign(&claims)).await, Err(TokenError::Invalid));
}
