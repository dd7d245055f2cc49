//! The program itself: several processes on one SQLite file, exit on a signal, the error for a bad setting.

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    time::timeout,
};

use crate::harness::Database;

const PATIENCE: Duration = Duration::from_secs(60);

/// The program, on free ports and with these settings.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jackfield-auth"));
    command.env_clear().kill_on_drop(true).stdout(Stdio::null()).stderr(Stdio::piped());
    for setting in ["port=0", "host=127.0.0.1", "internal.host=127.0.0.1", "log.format=json"].iter().chain(arguments) {
        command.args(["--set", setting]);
    }
    command
}

/// Reads the log until the program logs its addresses. Returns the reader, because the caller must read the rest.
pub async fn addresses(child: &mut Child) -> ([String; 2], Lines<BufReader<ChildStderr>>) {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while let Some(line) = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap() {
        let entry: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        if let (Some(public), Some(internal)) = (entry["public"].as_str(), entry["internal"].as_str()) {
            return ([public.to_owned(), internal.to_owned()], lines);
        }
    }
    panic!("it ended before it listened");
}

async fn terminate(child: &Child) {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_programs_share_one_new_sqlite_file_and_end_on_sigterm() {
    let database = Database::sqlite();
    let url = format!("database.url={}", database.url);
    let mut programs: Vec<_> = (0..4).map(|_| program(&[&url, "seed.enabled=true"]).spawn().unwrap()).collect();
    let mut sets = Vec::new();
    for child in &mut programs {
        let ([public, _], _logs) = addresses(child).await;
        let set = reqwest::get(format!("http://{public}/.well-known/jwks.json")).await.unwrap();
        sets.push(set.text().await.unwrap());
    }
    assert!(sets.iter().all(|set| *set == sets[0]), "{sets:?}");
    for child in &mut programs {
        terminate(child).await;
        assert_eq!(timeout(PATIENCE, child.wait()).await.unwrap().unwrap().code(), Some(0));
    }
    let file = database.url.strip_prefix("sqlite://").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "the signing key is in it");
}

#[tokio::test]
async fn an_invalid_setting_ends_it_with_one_line() {
    for (setting, expected) in [
        ("databse.url=x", "unknown setting `databse.url`"),
        ("port=http", "setting `port`"),
        ("database.url=nothing", "setting `database.url`"),
        ("internal.port=70000", "setting `internal.port`"),
    ] {
        let Output { status, stderr, .. } = timeout(PATIENCE, program(&[setting]).output()).await.unwrap().unwrap();
        let text = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{text}");
        assert!(text.starts_with("jackfield-auth: ") && text.contains(expected), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}
