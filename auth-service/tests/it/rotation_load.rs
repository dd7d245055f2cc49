//! No token is refused because of a rotation, by any service or by a gateway's verifier, under load.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jackfield_shared::{
    lifecycle::Lifecycle,
    verify::{KeySource, Verifier},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use parking_lot::Mutex;
use serde_json::json;

use crate::{
    harness::{Database, TestServer, on_both},
    keys_command::keys,
    keys_of_services::{key_set, kid, until},
};

on_both!(no_token_is_refused_while_keys_rotate);

const CLIENTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(5);

/// Requests and refusals.
#[derive(Default)]
struct Counts {
    renewed: AtomicUsize,
    verified: AtomicUsize,
    refused: Mutex<Vec<String>>,
}

/// Renews one token again and again, at either service in turns, and has every new one verified.
async fn client(
    servers: Arc<[TestServer; 2]>,
    verifier: Arc<Verifier>,
    mut token: String,
    counts: Arc<Counts>,
    n: usize,
) {
    for turn in n.. {
        let reply = servers[turn % 2].check_status(&token).await;
        if reply.status != 200 {
            counts.refused.lock().push(format!(
                "service {} refused a token of {}: {}",
                turn % 2,
                kid(&token),
                reply.text
            ));
            continue;
        }
        token = reply.token().to_owned();
        counts.renewed.fetch_add(1, Ordering::Relaxed);
        match verifier.verify(&token).await {
            Ok(_) => drop(counts.verified.fetch_add(1, Ordering::Relaxed)),
            Err(error) => {
                counts.refused.lock().push(format!("the verifier refused a token of {}: {error}", kid(&token)));
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Tokens of unknown keys, such as an attacker sends: they use up the verifier's right to fetch the key set.
async fn stranger(verifier: Arc<Verifier>) {
    let header = Header { kid: Some("unknown".into()), ..Header::new(Algorithm::HS256) };
    let token = encode(&header, &json!({ "sub": "x" }), &EncodingKey::from_secret(b"x")).unwrap();
    loop {
        assert!(verifier.verify(&token).await.is_err());
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

async fn no_token_is_refused_while_keys_rotate(database: Database) {
    // So short that a rotation is never refused: then nothing but the rotation's own delay protects the tokens.
    let before = "keys.publishBefore=1s";
    let plan = || TestServer::on(&database).set(before);
    let servers = Arc::new([plan().start().await, plan().start().await]);
    let lifecycle = Lifecycle::new();
    let source = KeySource::Url(servers[0].url("/.well-known/jwks.json"));
    let verifier = Verifier::new(source, Some("jackfield".into()), Some("jackfield".into()));
    lifecycle.spawn(Arc::clone(&verifier).keep_fresh(lifecycle.stopping()));
    until("the verifier has keys", async || verifier.ready()).await;

    let token = servers[0].register("ann@mail.com").await.ok(201).token().to_owned();
    let counts = Arc::new(Counts::default());
    let mut load = tokio::task::JoinSet::new();
    for n in 0..CLIENTS {
        load.spawn(client(Arc::clone(&servers), Arc::clone(&verifier), token.clone(), Arc::clone(&counts), n));
    }
    load.spawn(stranger(Arc::clone(&verifier)));

    let signing = async |server: &TestServer| kid(server.check_status(&token).await.ok(200).token());
    for (commands, arguments) in [(1, ["rotate", "--now"].as_slice()), (1, &["rotate"]), (3, &["rotate", "--now"])] {
        for _ in 0..commands {
            keys(&database, &[before], arguments).await.unwrap();
        }
        let current = database.users().await.keys().all().await.unwrap().remove(0).key.kid;
        for server in servers.iter() {
            until("it signs with the current key", async || signing(server).await == current).await;
        }
    }
    let kept = kid(&token);
    assert!(key_set(&servers[1]).await.len() == 7 && key_set(&servers[1]).await.contains(&kept), "five rotations");
    verifier.verify(&token).await.unwrap();
    load.shutdown().await;
    assert!(lifecycle.finish(Duration::from_secs(10)).await);
    let [renewed, verified] = [&counts.renewed, &counts.verified].map(|count| count.load(Ordering::Relaxed));
    println!("renewed {renewed}, verified {verified}, refused {}", counts.refused.lock().len());
    assert_eq!(*counts.refused.lock(), Vec::<String>::new());
    assert!(renewed > 1_000 && verified + CLIENTS >= renewed, "renewed {renewed}, verified {verified}");
}
