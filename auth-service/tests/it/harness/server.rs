//! A server on free ports, and requests to it.

use std::{net::SocketAddr, time::Duration};

use jackfield_auth::{AuthSettings, Server, StartError};
use jackfield_cluster::revocations::Revocations;
use jackfield_shared::{
    claims::Claims,
    lifecycle::Lifecycle,
    settings::{Sources, load},
};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use super::Database;

/// Long enough for a slow machine, short enough to fail.
const PATIENCE: Duration = Duration::from_secs(60);
pub const PASSWORD: &str = "P44sw0rd";

/// The settings of a server to start.
pub struct Plan {
    overrides: Vec<String>,
    list: Option<Revocations>,
}

impl Plan {
    pub fn set(mut self, setting: &str) -> Self {
        self.overrides.push(setting.to_owned());
        self
    }

    pub fn seeded(self) -> Self {
        self.set("seed.enabled=true")
    }

    /// Records revoked tokens in this list.
    pub fn revoking_in(mut self, list: &Revocations) -> Self {
        self.list = Some(list.clone());
        self
    }

    /// Records revoked tokens in a Redis that is not there.
    pub fn without_redis(self) -> Self {
        self.set("redis.url=redis://127.0.0.1:1")
    }

    pub async fn try_start(self) -> Result<TestServer, StartError> {
        let settings: AuthSettings = load(&Sources { overrides: self.overrides, ..Sources::default() })?;
        let lifecycle = Lifecycle::new();
        let server = Server::bind(settings, &lifecycle).await?;
        if let Some(list) = self.list {
            server.service().revoke_through(list, &lifecycle);
        }
        let (public, internal) = server.addresses();
        lifecycle.spawn(async move { server.serve().await.close().await });
        let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        Ok(TestServer { public, internal, lifecycle, http })
    }

    pub async fn start(self) -> TestServer {
        self.try_start().await.unwrap()
    }
}

/// A running server; it ends when dropped.
pub struct TestServer {
    pub public: SocketAddr,
    pub internal: SocketAddr,
    lifecycle: Lifecycle,
    pub http: reqwest::Client,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

impl TestServer {
    /// A server in another process, which the caller has to end.
    pub fn elsewhere([public, internal]: [String; 2]) -> Self {
        let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        let address = |text: String| text.parse().unwrap();
        Self { public: address(public), internal: address(internal), lifecycle: Lifecycle::new(), http }
    }

    pub fn on(database: &Database) -> Plan {
        let plan = Plan { overrides: Vec::new(), list: None };
        plan.set(&format!("database.url={}", database.url))
            .set("database.connections=5")
            .set("port=0")
            .set("host=127.0.0.1")
            .set("internal.host=127.0.0.1")
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.public)
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        Reply { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null), text }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.http.get(self.url(path))).await
    }

    pub async fn get_internal(&self, path: &str) -> Reply {
        self.send(self.http.get(format!("http://{}{path}", self.internal))).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(self.http.post(self.url(path)).json(body)).await
    }

    /// Posts a body of any content type to the login endpoint.
    pub async fn post_raw(&self, kind: &str, body: impl Into<reqwest::Body>) -> Reply {
        let request = self.http.request(Method::POST, self.url("/api/auth/login"));
        self.send(request.header("content-type", kind).body(body)).await
    }

    pub async fn register(&self, email: &str) -> Reply {
        self.post("/api/auth/register", &json!({ "email": email, "password": PASSWORD, "fullName": "Ann Lee" })).await
    }

    pub async fn login(&self, email: &str, password: &str) -> Reply {
        self.post("/api/auth/login", &json!({ "email": email, "password": password })).await
    }

    pub async fn refresh(&self, refresh_token: &str) -> Reply {
        self.post("/api/auth/refresh", &json!({ "refreshToken": refresh_token })).await
    }

    /// Without a body.
    pub async fn logout(&self, token: &str) -> Reply {
        self.send(self.http.post(self.url("/api/auth/logout")).bearer_auth(token)).await
    }

    pub async fn logout_everywhere(&self, token: &str) -> Reply {
        self.post_as(token, "/api/auth/logout", &json!({ "everywhere": true })).await
    }

    pub async fn change_password(&self, token: &str, current: &str, new: &str) -> Reply {
        self.post_as(token, "/api/auth/password", &json!({ "current": current, "new": new })).await
    }

    pub async fn post_as(&self, token: &str, path: &str, body: &Value) -> Reply {
        self.send(self.http.post(self.url(path)).bearer_auth(token).json(body)).await
    }

    pub async fn get_as(&self, token: &str, path: &str) -> Reply {
        self.send(self.http.get(self.url(path)).bearer_auth(token)).await
    }

    pub async fn patch_user(&self, token: &str, id: &str, body: &Value) -> Reply {
        self.send(self.http.patch(self.url(&format!("/api/users/{id}"))).bearer_auth(token).json(body)).await
    }

    pub async fn check_status(&self, token: &str) -> Reply {
        self.send(self.http.get(self.url("/api/auth/check-status")).bearer_auth(token)).await
    }
}

/// The server's answer.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
    pub text: String,
}

impl Reply {
    /// Asserts the status of a success.
    #[track_caller]
    pub fn ok(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// Asserts an error with this status and code, in the one shape of errors.
    #[track_caller]
    pub fn error(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status.as_u16(), self.body["code"].as_str()), (status, Some(code)), "{}", self.text);
        assert_eq!(self.body["statusCode"], status);
        assert_eq!(self.body["error"], self.status.canonical_reason().unwrap());
        assert_eq!(self.headers["content-type"], "application/json");
        assert_eq!(self.body["message"].is_array(), code == "validation_failed", "{}", self.text);
        assert_eq!(self.body.as_object().unwrap().len(), 4, "{}", self.text);
        self
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub fn token(&self) -> &str {
        self.body["token"].as_str().unwrap()
    }

    pub fn refresh_token(&self) -> &str {
        self.body["refreshToken"].as_str().unwrap()
    }

    pub fn user_id(&self) -> &str {
        self.body["user"]["id"].as_str().unwrap()
    }

    /// The claims of the access token.
    pub fn claims(&self) -> Claims {
        jsonwebtoken::dangerous::insecure_decode(self.token()).unwrap().claims
    }
}
