//! `jackfield-auth keys …` as a process, beside a service that runs.

use std::{process::Output, process::Stdio, time::Duration};

use serde_json::Value;
use tokio::time::timeout;

use crate::{
    harness::{Database, TestServer, on_both},
    keys_of_services::{key_set, kid, until},
    processes::{addresses, program},
};

on_both!(keys_are_listed_and_rotated_beside_a_service, a_command_needs_the_secret);

const PATIENCE: Duration = Duration::from_secs(60);
const SECRET: &str = "keys.secret=0123456789-0123456789-0123456789";

/// Runs `jackfield-auth keys …`; returns what it printed on standard output, or on standard error if it failed.
pub async fn keys(database: &Database, settings: &[&str], arguments: &[&str]) -> Result<String, String> {
    let url = format!("database.url={}", database.url);
    let settings: Vec<&str> = [url.as_str()].into_iter().chain(settings.iter().copied()).collect();
    let mut command = program(&settings);
    command.arg("keys").args(arguments).stdout(Stdio::piped());
    let Output { status, stdout, stderr } = timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8(text).unwrap());
    if status.success() { Ok(stdout) } else { Err(stderr) }
}

/// The lines of `keys list` as words: kid, state, published, signs, until, sealed.
async fn list(database: &Database) -> Vec<Vec<String>> {
    let text = keys(database, &[], &["list"]).await.unwrap();
    text.lines().skip(1).map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

async fn keys_are_listed_and_rotated_beside_a_service(database: Database) {
    let mut child = program(&[&format!("database.url={}", database.url)]).spawn().unwrap();
    let (at, mut logs) = addresses(&mut child).await;
    let server = TestServer::elsewhere(at);
    let token = server.register("ann@mail.com").await.ok(201).token().to_owned();
    let before = list(&database).await;
    let column =
        |lines: &[Vec<String>], column: usize| lines.iter().map(|line| line[column].clone()).collect::<Vec<_>>();
    assert_eq!(column(&before, 0), key_set(&server).await);
    assert_eq!((column(&before, 1), column(&before, 5)), (vec!["current".into(), "next".into()], vec!["no".into(); 2]));

    let refused = keys(&database, &[], &["rotate"]).await.unwrap_err();
    for part in ["jackfield-auth: the keys were not rotated", &before[1][0], "Wait ", "`--now`"] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
    assert_eq!((refused.lines().count(), list(&database).await), (1, before.clone()), "{refused}");

    let rotated = keys(&database, &[], &["rotate", "--now"]).await.unwrap();
    for part in [format!("Key {} signs from ", before[1][0]), format!("Key {} stops signing then", before[0][0])] {
        assert!(rotated.contains(&part), "{part} in {rotated}");
    }
    assert!(rotated.contains("Warning"), "{rotated}");
    let after = list(&database).await;
    assert_eq!(column(&after, 1), ["current", "next", "old"]);
    assert_eq!((&after[0][0], &after[2][0]), (&before[1][0], &before[0][0]));
    until("the service signs with it", async || kid(server.check_status(&token).await.ok(200).token()) == before[1][0])
        .await;
    let metrics = server.get_internal("/metrics").await.text;
    assert!(metrics.contains("\njackfield_auth_signing_key_rotations_total 1\n"), "{metrics}");
    assert!(metrics.contains("\njackfield_auth_signing_key_age_seconds "), "{metrics}");

    // Keys that cannot be loaded: the service keeps those that it has, and logs it once.
    let failures = async || {
        let text = server.get_internal("/metrics").await.text;
        let line = text.lines().find_map(|line| line.strip_prefix("jackfield_auth_signing_key_reloads_failed_total "));
        line.unwrap().parse::<u32>().unwrap()
    };
    database.execute("ALTER TABLE signing_keys RENAME TO hidden").await;
    until("it fails twice", async || failures().await >= 2).await;
    server.check_status(&token).await.ok(200);
    assert_eq!(key_set(&server).await.len(), 3);
    database.execute("ALTER TABLE hidden RENAME TO signing_keys").await;
    let mut logged = 0;
    loop {
        let line = timeout(PATIENCE, logs.next_line()).await.unwrap().unwrap().unwrap();
        let entry: Value = serde_json::from_str(&line).unwrap();
        let message = entry["message"].as_str().or_else(|| entry["fields"]["message"].as_str()).unwrap_or_default();
        logged += usize::from(message.starts_with("cannot load the signing keys"));
        if message == "loaded the signing keys again" {
            break;
        }
    }
    assert_eq!(logged, 1);
}

async fn a_command_needs_the_secret(database: Database) {
    let _server = TestServer::on(&database).set(SECRET).start().await;
    let refused = keys(&database, &[], &["rotate", "--now"]).await.unwrap_err();
    assert!(refused.contains("is sealed: set `keys.secret` (KEYS_SECRET or KEYS_SECRET_FILE)"), "{refused}");
    let before = list(&database).await;
    assert!(before.len() == 2 && before.iter().all(|line| line[5] == "yes"), "{before:?}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{}\n", SECRET.strip_prefix("keys.secret=").unwrap())).unwrap();
    let mut command = program(&[&format!("database.url={}", database.url)]);
    command.env("KEYS_SECRET_FILE", &file).args(["keys", "rotate", "--now"]);
    assert!(timeout(PATIENCE, command.status()).await.unwrap().unwrap().success());
    let after = list(&database).await;
    assert!(after.len() == 3 && after.iter().all(|line| line[5] == "yes"), "{after:?}");
    assert_eq!(after[0][0], before[1][0]);
}
