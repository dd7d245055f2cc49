//! Tokens and passwords never reach the logs, not even the most detailed ones.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use crate::{
    harness::{Database, TestServer},
    processes::{addresses, program},
};

const PASSWORD: &str = "P44sw0rd";
const NEW: &str = "N3w-pass";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_logged() {
    let database = Database::sqlite();
    let url = format!("database.url={}", database.url);
    let mut child = program(&[&url, "log.level=trace", "login.failures=0"]).spawn().unwrap();
    let (addresses, mut logs) = addresses(&mut child).await;
    let reading = async {
        let mut text = String::new();
        while let Some(line) = logs.next_line().await.unwrap() {
            text += &line;
        }
        text
    };
    let calling = async {
        let server = TestServer::elsewhere(addresses);
        let first = server.register("ann@mail.com").await.ok(201);
        let second = server.refresh(first.refresh_token()).await.ok(200);
        let third = server.refresh(second.refresh_token()).await.ok(200);
        let login = server.login("ann@mail.com", PASSWORD).await.ok(200);
        server.change_password(login.token(), PASSWORD, NEW).await.ok(204);
        server.change_password(login.token(), "Wr0ng-one", PASSWORD).await.error(401, "invalid_credentials");
        let other = server.login("ann@mail.com", NEW).await.ok(200);
        let next = server.refresh(other.refresh_token()).await.ok(200);
        let last = server.refresh(next.refresh_token()).await.ok(200);
        // A reuse is logged, with the login's id.
        server.refresh(other.refresh_token()).await.error(401, "invalid_refresh_token");
        let body = json!({ "refreshToken": third.refresh_token(), "more": third.refresh_token() });
        server.post("/api/auth/refresh", &body).await.error(400, "validation_failed");
        server.logout_everywhere(login.token()).await.ok(204);
        let sid = other.claims().sid;
        child.start_kill().unwrap();
        let replies = [first, second, third, login, other, next, last];
        let mut secrets: Vec<_> = [PASSWORD, NEW, "Wr0ng-one", "$argon2id$"].map(str::to_owned).into();
        for reply in &replies {
            // The end alone would do: it is the secret, or the signature.
            secrets.extend([reply.token(), reply.refresh_token()].map(|text| text[text.len() - 30..].to_owned()));
        }
        (secrets, sid)
    };
    let (text, (secrets, sid)) =
        timeout(Duration::from_secs(60), async { tokio::join!(reading, calling) }).await.unwrap();
    assert!(text.contains("a refresh token was used twice") && text.contains(&sid), "{text}");
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret}");
    }
}
