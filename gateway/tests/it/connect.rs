//! Joining namespaces: tokens and their refusals, expiry and renewal, and connections that are in no namespace.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jackfield_engine::{CloseReason, Inbound};
use jackfield_shared::{
    time::{rfc3339_of_unix, unix_now},
    verify::KeySource,
};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::harness::{Client, TestCluster, User};

/// The default of `limits.connectTimeout`, and how often it is checked.
const IDLE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(1));

/// Private and public Ed25519 keys as in a JWK: those of RFC 8032, section 7.1.
const TRUSTED: (&str, &str) =
    ("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
const OTHER: (&str, &str) =
    ("TM0Imyj_ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U-4pvs", "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw");
const TRUSTED_PEM: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
                           -----END PUBLIC KEY-----\n";

/// A JSON object with some fields changed, and those that are null left out.
fn changed(mut object: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { panic!("{changes}") };
    for (name, value) in changes {
        object[name] = value;
    }
    object.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    object
}

/// A token without a signature, but with the dot before it.
fn unsigned(header: &Value, claims: &Value) -> String {
    let [header, claims] = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}.")
}

fn signed(header: &Value, claims: &Value, key: &EncodingKey, algorithm: Algorithm) -> String {
    let token = unsigned(header, claims);
    let signature = crypto::sign(token.trim_end_matches('.').as_bytes(), key, algorithm).unwrap();
    token + &signature
}

fn signed_by(key: &str, header: &Value, claims: &Value) -> String {
    // The header of PKCS #8 for an Ed25519 key.
    let mut der = b"0.\x02\x01\x000\x05\x06\x03+ep\x04\"\x04 ".to_vec();
    der.extend(BASE64_URL_SAFE_NO_PAD.decode(key).unwrap());
    signed(header, claims, &EncodingKey::from_ed_der(&der), Algorithm::EdDSA)
}

/// A token with the algorithm and the secret of a shared key.
fn hmac(header: &Value, claims: &Value, secret: &[u8]) -> String {
    signed(header, claims, &EncodingKey::from_secret(secret), Algorithm::HS256)
}

/// Refused for good: a CONNECT_ERROR, and before the transport closes a DISCONNECT for older clients; nothing else.
async fn assert_refused(client: &Client, code: &str, name: &str) {
    assert_eq!(client.refusal().await, code, "{name}");
    assert_eq!(client.packet_types(), ["CONNECT_ERROR"], "{name}");
    assert_eq!(client.closed().await, CloseReason::Idle);
    assert_eq!(client.packet_types(), ["CONNECT_ERROR", "DISCONNECT"], "{name}");
}

#[tokio::test(start_paused = true)]
async fn authenticated_comes_first_and_has_the_user_and_the_expiry_of_the_token() {
    let cluster = TestCluster::nodes(1).await;
    let (client, exp) = (cluster.stranger(0), unix_now() + 600);
    client.connect("/", &User::new("ana").token_until(exp));
    let authenticated = client.next("authenticated").await;
    let expected = json!({
        "success": true, "userId": "ana", "email": "ana@example.com", "socketId": client.id(),
        "expiresAt": rfc3339_of_unix(exp),
    });
    assert_eq!(authenticated, expected);
    assert_eq!(client.packet_types()[..2], ["CONNECT", "EVENT"]);
    assert_eq!(client.events()[0].0, "authenticated");
}

#[tokio::test(start_paused = true)]
async fn the_token_of_connect_comes_before_that_of_the_handshake_with_and_without_bearer() {
    let cluster = TestCluster::nodes(1).await;
    let (ana, bob) = (User::new("ana").token(), User::new("bob").token());
    for prefix in ["", "Bearer ", "bearer "] {
        let auth = json!({ "token": format!("{prefix}{ana}") }).to_string();
        for (auth, user) in [(Some(&*auth), "ana"), (Some("{}"), "bob"), (None, "bob")] {
            let handshake = cluster.transport(0, Some(&format!("{prefix}{bob}")));
            let client = Client::new(handshake, User::new(user));
            client.send(&Inbound::Connect { namespace: "/", auth });
            assert_eq!(client.next("authenticated").await["userId"], user);
        }
    }
    let client = Client::new(cluster.transport(0, Some("ABC-123")), User::new("nobody"));
    client.send(&Inbound::Connect { namespace: "/", auth: None });
    assert_refused(&client, "invalid_token", "in the handshake").await;
}

#[tokio::test(start_paused = true)]
async fn the_token_of_the_handshake_counts_for_every_namespace() {
    let cluster = TestCluster::nodes(1).await;
    let client = Client::new(cluster.transport(0, Some(&User::new("ana").token())), User::new("ana"));
    for namespace in ["/", "/chat"] {
        client.send(&Inbound::Connect { namespace, auth: None });
        assert_eq!(client.at(namespace).next("authenticated").await["userId"], "ana");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_namespace_is_refused_and_the_others_of_the_connection_are_not() {
    let cluster = TestCluster::nodes(1).await;
    let client = cluster.client("ana").await;
    for name in ["/nope", "/chat/x", "/ws/v1/nothing"] {
        client.connect(name, &client.user.token());
        assert_eq!(client.at(name).refusal().await, "invalid_namespace");
    }
    let chat = client.also_in("/chat").await;
    for client in [&client, &chat] {
        client.done("message", json!("still here")).await;
    }
    sleep(IDLE.0 * 10).await;
    assert!(client.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_connection_belongs_to_one_user() {
    let cluster = TestCluster::nodes(1).await;
    let client = cluster.client("ana").await;
    client.connect("/chat", &User::new("bob").token());
    assert_eq!(client.at("/chat").refusal().await, "session_conflict");
    client.done("message", json!("still here")).await;
}

#[tokio::test(start_paused = true)]
async fn bad_tokens_are_refused_for_good_in_every_namespace() {
    let keys = || {
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": TRUSTED.1, "kid": "k", "alg": "EdDSA", "use": "sig" });
        KeySource::Local(watch::channel(serde_json::from_value(json!({ "keys": [key] })).unwrap()).1)
    };
    let cluster = TestCluster::trusting(1, &["jwt.issuer=jackfield", "jwt.audience=jackfield"], keys).await;
    let now = unix_now();
    let header = json!({ "alg": "EdDSA", "kid": "k", "typ": "JWT" });
    let valid = changed(User::new("ana").claims(now + 600), json!({ "iss": "jackfield", "aud": "jackfield" }));
    let with = |changes| signed_by(TRUSTED.0, &header, &changed(valid.clone(), changes));
    let by_other = |changes| signed_by(OTHER.0, &changed(header.clone(), changes), &valid);
    let alg = |alg: &str| changed(header.clone(), json!({ "alg": alg }));
    let secret = BASE64_URL_SAFE_NO_PAD.decode(TRUSTED.1).unwrap();
    let good = with(json!({}));
    let signature = good.rsplit_once('.').unwrap().1;
    let other_claims = changed(valid.clone(), json!({ "sub": "somebody-else" }));

    let client = cluster.stranger(0);
    client.connect("/", &good);
    assert_eq!(client.next("authenticated").await["userId"], "ana");

    let (missing, invalid, expired) = ("missing_token", "invalid_token", "token_expired");
    let cases = [
        ("an empty token", String::new(), missing),
        ("nothing but Bearer", "Bearer ".into(), missing),
        ("no token at all", "ABC-123".into(), invalid),
        ("expired", with(json!({ "iat": now - 900, "nbf": now - 900, "exp": now - 60 })), expired),
        ("not valid yet", with(json!({ "nbf": now + 600 })), invalid),
        ("without exp", with(json!({ "exp": null })), invalid),
        ("without sub", with(json!({ "sub": null })), invalid),
        ("of another issuer", with(json!({ "iss": "other" })), invalid),
        ("for another audience", with(json!({ "aud": "other" })), invalid),
        ("with other claims", unsigned(&header, &other_claims) + signature, invalid),
        ("without its signature", unsigned(&header, &valid), invalid),
        ("signed by another key", by_other(json!({})), invalid),
        (
            "signed by another key that it brings along",
            by_other(json!({ "jwk": { "kty": "OKP", "crv": "Ed25519", "x": OTHER.1 } })),
            invalid,
        ),
        ("of an unknown key", signed_by(TRUSTED.0, &changed(header.clone(), json!({ "kid": "l" })), &valid), invalid),
        ("alg none", unsigned(&alg("none"), &valid), invalid),
        ("alg None", unsigned(&alg("None"), &valid), invalid),
        ("alg none without kid", unsigned(&json!({ "alg": "none" }), &valid), invalid),
        ("HS256 over the PEM of the public key", hmac(&alg("HS256"), &valid, TRUSTED_PEM.as_bytes()), invalid),
        ("HS256 over the bytes of the public key", hmac(&alg("HS256"), &valid, &secret), invalid),
        (
            "expired and signed by another key",
            signed_by(OTHER.0, &header, &changed(valid.clone(), json!({ "exp": now - 60 }))),
            invalid,
        ),
    ];
    for namespace in ["/", "/chat"] {
        for (name, token, code) in &cases {
            let client = cluster.stranger(0).at(namespace);
            client.connect(namespace, token);
            assert_refused(&client, code, name).await;
        }
        let client = cluster.stranger(0).at(namespace);
        client.send(&Inbound::Connect { namespace, auth: None });
        assert_refused(&client, missing, "no token").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_may_try_again_at_once_with_a_better_token() {
    let cluster = TestCluster::nodes(1).await;
    let client = cluster.stranger(0);
    client.connect("/", "ABC-123");
    assert_eq!(client.refusal().await, "invalid_token");
    client.connect("/", &User::new("ana").token());
    client.next("authenticated").await;
    sleep(IDLE.0 * 2).await;
    assert!(client.is_open() && !client.is_disconnected());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_has_just_expired_is_refused_and_evicts_no_session_of_its_user() {
    let cluster = TestCluster::nodes(2).await;
    let good = cluster.client_on(0, "dora").await;
    for ago in [0, 2, 4] {
        let late = cluster.stranger(1);
        late.connect("/", &good.user.token_until(unix_now() - ago));
        assert_refused(&late, "token_expired", &format!("ended {ago} s ago")).await;
    }
    good.done("message", json!("still here")).await;
    assert!(good.all("session:replaced").is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_expiry_of_a_token_is_announced_once_in_every_namespace_a_minute_before() {
    let cluster = TestCluster::nodes(1).await;
    let main = cluster.stranger(0);
    let exp = unix_now() + 55;
    for namespace in ["/", "/chat"] {
        main.connect(namespace, &User::new("ana").token_until(exp));
    }
    let chat = main.at("/chat");
    sleep(Duration::from_secs(10)).await;
    for client in [&main, &chat] {
        assert_eq!(client.all("token:expiring"), [json!({ "expiresAt": rfc3339_of_unix(exp) })]);
    }
    let later = cluster.client(User { valid: 120, ..User::new("bob") }).await;
    sleep(Duration::from_secs(10)).await;
    assert!(later.all("token:expiring").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_token_can_be_renewed_in_place_only_by_one_of_the_same_user() {
    let cluster = TestCluster::nodes(1).await;
    let (short, long) = (unix_now() + 55, unix_now() + 600);
    let (ana, client) = (User::new("ana"), cluster.stranger(0));
    client.connect("/", &ana.token_until(short));
    let refresh = |token: String| json!({ "token": token });
    client.refused("token:refresh", refresh(User::new("bob").token()), "forbidden").await;
    client.refused("token:refresh", refresh("ABC-123".into()), "validation_failed").await;
    client.refused("token:refresh", refresh(ana.token_until(unix_now() - 1)), "validation_failed").await;
    client.refused("token:refresh", json!({}), "validation_failed").await;
    // A token that ends sooner takes nothing away.
    for (exp, expires_at) in [(short - 10, short), (long, long), (short, long)] {
        let renewed = client.ask("token:refresh", refresh(ana.token_until(exp))).await;
        assert_eq!(renewed, json!({ "status": "ok", "expiresAt": rfc3339_of_unix(expires_at) }));
    }
    sleep(Duration::from_secs(10)).await;
    assert!(client.all("token:expiring").is_empty(), "it was renewed before the first check");
    client.done("message", json!("still here")).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_in_no_namespace_for_too_long_is_closed() {
    let cluster = TestCluster::nodes(1).await;
    let (begun, silent, asking) = (Instant::now(), cluster.stranger(0), cluster.stranger(0));
    let ended = |client: Client| async move { (client.closed().await, begun.elapsed()) };
    let asks = async {
        // Asking for an unknown namespace gains no time.
        while asking.is_open() {
            asking.connect("/nope", &asking.user.token());
            sleep(Duration::from_millis(500)).await;
        }
    };
    let (silent, ()) = tokio::join!(ended(silent), asks);
    for (reason, after) in [silent, ended(asking).await] {
        assert_eq!(reason, CloseReason::Idle);
        assert!(after >= IDLE.0 && after <= IDLE.0 + IDLE.1 * 2, "after {after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_leaves_its_last_namespace_may_join_another_one_in_time() {
    let cluster = TestCluster::nodes(1).await;
    let client = cluster.client("ana").await;
    sleep(IDLE.0 * 10).await;
    client.leave_namespace();
    sleep(IDLE.0 - IDLE.1).await;
    let chat = client.also_in("/chat").await;
    sleep(IDLE.0 * 10).await;
    chat.done("message", json!("still here")).await;
    let left = Instant::now();
    chat.leave_namespace();
    assert_eq!(chat.closed().await, CloseReason::Idle);
    assert!(left.elapsed() >= IDLE.0 && left.elapsed() <= IDLE.0 + IDLE.1 * 2, "after {:?}", left.elapsed());
}
