//! Users of several issuers on one node.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jackfield_gateway::{Gateway, settings::GatewaySettings};
use jackfield_shared::{
    lifecycle::Lifecycle,
    settings::{Sources, load},
    time::unix_now,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::harness::{Client, TestCluster, User};

const KEYCLOAK: &str = "https://id.example.com/realms/main";
const SUPABASE: &str = "https://abc.supabase.co/auth/v1";
const SECRET: &str = "super-secret-jwt-token-with-at-least-32-characters-long";
/// Private and public Ed25519 key as in a JWK: those of RFC 8032, section 7.1.
const KEY: (&str, &str) =
    ("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");

fn keycloak_token(roles: &Value) -> String {
    // The header of PKCS #8 for an Ed25519 key.
    let mut der = b"0.\x02\x01\x000\x05\x06\x03+ep\x04\"\x04 ".to_vec();
    der.extend(BASE64_URL_SAFE_NO_PAD.decode(KEY.0).unwrap());
    let header = Header { kid: Some("k".into()), ..Header::new(Algorithm::EdDSA) };
    let claims = json!({
        "iss": KEYCLOAK, "aud": ["account"], "sub": "ann", "name": "Ann Lee", "exp": unix_now() + 600,
        "realm_access": { "roles": roles },
    });
    encode(&header, &claims, &EncodingKey::from_ed_der(&der)).unwrap()
}

fn supabase_token(iss: &str, role: &str) -> String {
    let claims = json!({
        "iss": iss, "aud": "authenticated", "sub": "ann", "role": role, "exp": unix_now() + 600,
        "user_metadata": { "full_name": "Ann of Supabase" },
    });
    encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

/// The setting for both, whose keys are in files of this folder.
fn issuers(folder: &std::path::Path) -> String {
    let (set, secret) = (folder.join("jwks.json"), folder.join("secret"));
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": KEY.1, "kid": "k" });
    std::fs::write(&set, json!({ "keys": [key] }).to_string()).unwrap();
    std::fs::write(&secret, SECRET).unwrap();
    let keycloak = format!("iss={KEYCLOAK};jwksFile={};aud=account;roles=realm_access.roles;users=kc:", set.display());
    let supabase = format!(
        "iss={SUPABASE};secretFile={};aud=authenticated;name=user_metadata.full_name;roles=role;users=sb:",
        secret.display()
    );
    format!("issuers={}", json!([keycloak, supabase]))
}

async fn connected(cluster: &TestCluster, token: &str) -> (Client, Value) {
    let client = cluster.stranger(0);
    client.connect("/", token);
    let authenticated = client.next("authenticated").await;
    (client, authenticated["userId"].clone())
}

#[tokio::test]
async fn users_of_two_issuers_and_of_the_default_one_connect() {
    let folder = tempfile::tempdir().unwrap();
    let rules = r#"rooms.rules=["staff;join=moderator","members;join=authenticated+moderator"]"#;
    let cluster = TestCluster::with(1, &[&issuers(folder.path()), rules]).await;
    let (keycloak, id) = connected(&cluster, &keycloak_token(&json!(["moderator"]))).await;
    assert_eq!(id, "kc:ann");
    let (supabase, id) = connected(&cluster, &supabase_token(SUPABASE, "authenticated")).await;
    assert_eq!(id, "sb:ann");
    let default = cluster.client("ann").await;

    keycloak.join("staff").await;
    keycloak.join("members").await;
    supabase.join("members").await;
    supabase.refused("join-room", json!("staff"), "forbidden").await;
    default.refused("join-room", json!("members"), "forbidden").await;
    let members = keycloak.done("room-members", json!({ "room": "members" })).await;
    let mut names: Vec<_> = members["members"].as_array().unwrap().iter().map(ToString::to_string).collect();
    names.sort_unstable();
    assert_eq!(names, [r#"{"name":"Ann Lee","userId":"kc:ann"}"#, r#"{"name":"Ann of Supabase","userId":"sb:ann"}"#]);

    for token in [
        supabase_token(KEYCLOAK, "authenticated"),
        supabase_token("https://other.example.com", "authenticated"),
        User::new("kc:ann").token(),
    ] {
        let client = cluster.stranger(0);
        client.connect("/", &token);
        assert_eq!(client.refusal().await, "invalid_token");
    }
}

#[tokio::test]
async fn no_default_issuer_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let build = |overrides: Vec<String>| {
        let settings: GatewaySettings = load(&Sources { overrides, ..Sources::default() }).unwrap();
        let keys = settings.key_source()?;
        Gateway::build(settings, keys, &Lifecycle::new())
    };
    assert!(build(vec![issuers(folder.path())]).is_ok());
    assert!(build(Vec::new()).is_err());
}
