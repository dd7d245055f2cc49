//! Calls of the HTTP API with everything that a backend may choose.

use axum::{
    body::{Body, Bytes},
    http::{Method, Request, Response},
};
use serde_json::Value;

use super::{API_KEY, TestCluster};

/// A request with this key, and this text as its body.
pub async fn call(
    cluster: &TestCluster,
    node: usize,
    key: &str,
    (method, path): (Method, &str),
    body: impl Into<Body>,
    headers: &[(&str, &str)],
) -> Response<Bytes> {
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/json");
    }
    if !key.is_empty() {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    cluster.request(node, request.body(body.into()).unwrap()).await
}

/// A POST under an `Idempotency-Key`.
pub async fn once(cluster: &TestCluster, node: usize, path: &str, body: &Value, name: &str) -> Response<Bytes> {
    call(cluster, node, API_KEY, (Method::POST, path), body.to_string(), &[("idempotency-key", name)]).await
}

/// The answer's body.
pub fn json_of(answer: &Response<Bytes>) -> Value {
    serde_json::from_slice(answer.body()).unwrap()
}
