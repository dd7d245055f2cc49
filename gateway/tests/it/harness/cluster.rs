//! Nodes on one memory cluster.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{Method, Request, Response, StatusCode},
};
use jackfield_cluster::{
    MemoryCluster,
    revocations::{About, Entry},
};
use jackfield_engine::testing::TestClient;
use jackfield_gateway::{Gateway, settings::GatewaySettings};
use jackfield_shared::{
    lifecycle::Lifecycle,
    settings::{Sources, load},
    time::unix_now,
    verify::KeySource,
};
use serde_json::Value;
use tower::ServiceExt as _;

use super::{Client, User, user::SECRET};

/// A key with every scope, known to every test cluster.
pub const API_KEY: &str = "test-key";
/// Its entry in the settings: the SHA-256 of the key.
const API_KEYS: &str = "api.keys=test:emit+notify+read+disconnect+publish+rooms+hooks:62af8704764faf8ea82fc61ce9c4c3908b6cb97d463a634e9e587d7c885db0ef";
/// Tests are fast, but not about the limits of one user.
const UNLIMITED: [&str; 6] = ["eventRate", "broadcastRate", "privateRate", "userConnectRate", "userRooms", "userBytes"];
/// In the test's own time.
const START_WITHIN: Duration = Duration::from_secs(10);

/// See [`super`].
pub struct TestCluster {
    nodes: Vec<Node>,
}

struct Node {
    gateway: Gateway,
    /// One for all calls, as its port has one: it counts wrong keys.
    internal: Router,
    lifecycle: Lifecycle,
}

impl TestCluster {
    /// This many nodes with default settings, ready for clients.
    pub async fn nodes(count: usize) -> Self {
        Self::with(count, &[]).await
    }

    /// Three nodes on which a user may have any number of sessions.
    pub async fn many_sessions() -> Self {
        Self::with(3, &["session.policy=multi"]).await
    }

    /// This many nodes with these settings, each `key=value`.
    pub async fn with(count: usize, set: &[&str]) -> Self {
        Self::trusting(count, set, || KeySource::Secret(SECRET.to_owned())).await
    }

    /// As [`TestCluster::with`], for tokens of an issuer with these keys instead of [`User::token`].
    pub async fn trusting(count: usize, set: &[&str], keys: impl Fn() -> KeySource) -> Self {
        let unlimited = UNLIMITED.map(|limit| format!("limits.{limit}=0"));
        let sources = Sources {
            overrides: unlimited
                .into_iter()
                .chain([API_KEYS.to_owned()])
                .chain(set.iter().map(|s| (*s).to_owned()))
                .collect(),
            ..Sources::default()
        };
        let settings = || load::<GatewaySettings>(&sources).unwrap();
        let memory = MemoryCluster::new(settings().terms());
        let nodes = (0..count).map(|_| {
            let lifecycle = Lifecycle::new();
            let gateway = Gateway::build_in(&memory, settings(), keys(), &lifecycle).unwrap();
            Node { internal: gateway.internal_router(), gateway, lifecycle }
        });
        let cluster = Self { nodes: nodes.collect() };
        let ready = async {
            while !cluster.nodes.iter().all(|node| node.gateway.readiness().is_ready()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(START_WITHIN, ready).await.expect("the nodes do not become ready");
        cluster
    }

    /// Waits until nobody has anything to do: everything that was sent has arrived.
    pub async fn quiet(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// A client of this user in the main namespace, on the first node.
    pub async fn client(&self, user: impl Into<User>) -> Client {
        self.client_on(0, user).await
    }

    /// A client of this user in the main namespace, on this node.
    pub async fn client_on(&self, node: usize, user: impl Into<User>) -> Client {
        self.client_in("/", node, user).await
    }

    /// A client of this user in this namespace alone, on this node.
    pub async fn client_in(&self, namespace: &str, node: usize, user: impl Into<User>) -> Client {
        Client::new(self.transport(node, None), user.into()).also_in(namespace).await
    }

    /// Clients of different users ("user-0", "user-1", …) in the main namespace, on the nodes in turn.
    pub async fn clients<const N: usize>(&self) -> [Client; N] {
        self.clients_in("/").await
    }

    /// As [`TestCluster::clients`], in this namespace alone.
    pub async fn clients_in<const N: usize>(&self, namespace: &str) -> [Client; N] {
        let mut clients = Vec::new();
        for index in 0..N {
            let user = User::new(&format!("user-{index}"));
            clients.push(self.client_in(namespace, index % self.nodes.len(), user).await);
        }
        clients.try_into().ok().expect("as many as asked for")
    }

    /// A client on this node that has joined nothing yet.
    pub fn stranger(&self, node: usize) -> Client {
        Client::new(self.transport(node, None), User::new("nobody"))
    }

    /// A connection whose handshake carried this token.
    pub fn transport(&self, node: usize, token: Option<&str>) -> TestClient {
        self.nodes[node].gateway.test_client(token)
    }

    /// Records a revocation, as the auth service does.
    pub async fn revoke(&self, user: &str, about: About, reason: &str) {
        let entry = Entry { user: user.into(), about, reason: reason.into(), until: unix_now() + 3_600 };
        self.nodes[0].gateway.revocations().record(&[entry]).await.unwrap();
    }

    /// A message of an emitter, which Redis would give to every node. Whether each node took it.
    pub async fn emitted(&self, channel: &str, payload: &[u8]) -> Vec<bool> {
        let mut taken = Vec::new();
        for node in &self.nodes {
            taken.push(node.gateway.test_emitted(channel, Bytes::copy_from_slice(payload)).await);
        }
        taken
    }

    /// Begins the shutdown of a node.
    pub fn leave(&self, node: usize) {
        self.nodes[node].lifecycle.leave();
    }

    /// A node's state in one word, as `/readyz` says it.
    pub fn state(&self, node: usize) -> &'static str {
        self.nodes[node].gateway.readiness().as_str()
    }

    /// A backend's call of a node, with a key that may do everything.
    pub async fn call(&self, node: usize, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {API_KEY}"))
            .header("content-type", "application/json");
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let answer = self.request(node, request.body(body).unwrap()).await;
        (answer.status(), serde_json::from_slice(answer.body()).unwrap_or(Value::Null))
    }

    /// Any request to a node's internal port.
    pub async fn request(&self, node: usize, request: Request<Body>) -> Response<Bytes> {
        let (head, body) = self.nodes[node].internal.clone().oneshot(request).await.unwrap().into_parts();
        Response::from_parts(head, to_bytes(body, usize::MAX).await.unwrap())
    }

    /// A POST that has to succeed.
    pub async fn post(&self, node: usize, path: &str, body: &Value) -> Value {
        let (status, answer) = self.call(node, Method::POST, path, body).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// A GET that has to succeed.
    pub async fn get(&self, node: usize, path: &str) -> Value {
        let (status, answer) = self.call(node, Method::GET, path, &Value::Null).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        for node in &self.nodes {
            node.lifecycle.stop();
        }
    }
}
