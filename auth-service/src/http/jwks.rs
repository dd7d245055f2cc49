//! GET `/.well-known/jwks.json`: the keys that tokens are verified with.

use std::sync::Arc;

use axum::{Json, extract::State, http::header::CACHE_CONTROL, response::IntoResponse};

use crate::app::App;

/// Gateways refresh the key set at the same interval, 300 s.
const CACHEABLE: &str = "public, max-age=300";

/// The public keys, as RFC 7517 writes them.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "keys",
    responses((status = 200, description = "A JWK Set", body = serde_json::Value)),
)]
pub async fn jwks(State(app): State<Arc<App>>) -> impl IntoResponse {
    ([(CACHE_CONTROL, CACHEABLE)], Json(app.tokens.keys().public().clone()))
}
