//! The users of a run, one for each member: signed by this program for gateways that trust its secret, or registered
//! with the auth service of a cluster that runs already.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde::Deserialize;
use serde_json::{Value, json};

/// A user and its token.
pub struct User {
    /// The `sender.id` of its messages.
    pub id: String,
    pub token: String,
}

/// Lifetime of a signed token: longer than any run.
const LIFETIME: Duration = Duration::from_secs(24 * 3_600);

/// Users for gateways that trust `secret` (HS256).
pub fn signed(count: usize, secret: &str) -> Result<Vec<User>> {
    let exp = (SystemTime::now() + LIFETIME).duration_since(UNIX_EPOCH)?.as_secs();
    let key = EncodingKey::from_secret(secret.as_bytes());
    let user = |number| {
        let id = format!("m{number}");
        let token = encode(&Header::default(), &json!({ "sub": id, "name": id, "exp": exp }), &key)?;
        Ok(User { id, token })
    };
    (0..count).map(user).collect()
}

/// Registrations at a time: each costs the auth service a password hash.
const AT_ONCE: usize = 4;
/// Longest wait for the answer to a registration.
const ANSWER: Duration = Duration::from_secs(20);
/// Meets the rules for passwords.
const PASSWORD: &str = "Chaos-test-1";

#[derive(Deserialize)]
struct Session {
    user: Account,
    token: String,
}

#[derive(Deserialize)]
struct Account {
    id: String,
}

/// Registers that many users at `/api/auth/register` of `url`. Their names are new in each run.
pub async fn registered(url: &str, count: usize) -> Result<Vec<User>> {
    let client = reqwest::Client::builder().timeout(ANSWER).no_proxy().build()?;
    let run = rand::random::<u64>();
    let registration = |number| {
        let (email, name) = (format!("chaos-{run:016x}-{number}@example.com"), format!("Chaos {number}"));
        json!({ "email": email, "password": PASSWORD, "fullName": name })
    };
    let url = format!("{url}/api/auth/register");
    let users = (0..count).map(|number| register(&client, &url, registration(number)));
    stream::iter(users).buffered(AT_ONCE).try_collect().await
}

async fn register(client: &reqwest::Client, url: &str, registration: Value) -> Result<User> {
    let answer = client.post(url).json(&registration).send().await?;
    match answer.status().as_u16() {
        201 => {
            let Session { user, token } = answer.json().await.with_context(|| url.to_owned())?;
            Ok(User { id: user.id, token })
        }
        429 => {
            bail!("{url} answered 429: registrations are limited by address; turn that off with REGISTER_PER_ADDRESS=0")
        }
        status => bail!("{url} answered {status}: {}", answer.text().await.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        task::JoinSet,
    };

    use super::*;

    /// An auth service that gives every request the same answer.
    async fn answering(answer: &'static str) -> (String, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4_096];
                let count = stream.read(&mut request).await.unwrap();
                assert!(request[..count].starts_with(b"POST /api/auth/register HTTP/1.1\r\n"));
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (url, server)
    }

    #[tokio::test]
    async fn registered_users_have_the_id_and_the_token_of_the_answer() {
        let (url, _server) =
            answering("HTTP/1.1 201 Created\r\nConnection: close\r\n\r\n{\"user\":{\"id\":\"u\"},\"token\":\"t\"}")
                .await;
        let users = registered(&url, 6).await.unwrap();
        assert!(users.len() == 6 && users.iter().all(|user| user.id == "u" && user.token == "t"));
    }

    #[tokio::test]
    async fn a_limit_of_registrations_is_named() {
        let (url, _server) = answering("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n").await;
        let error = registered(&url, 1).await.err().unwrap().to_string();
        assert!(error.contains("REGISTER_PER_ADDRESS"), "{error}");
    }
}
