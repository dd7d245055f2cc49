//! Both services on one port, until the process is asked to end.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use jackfield_auth::{AuthService, AuthSettings, demo};
use jackfield_gateway::{Gateway, listen, listen_for_clients, settings::GatewaySettings};
use jackfield_shared::{lifecycle::Lifecycle, metrics, verify::KeySource};
use serde_json::{json, to_value};

use crate::page;

/// At the end, how long background work may take.
const GRACE: Duration = Duration::from_secs(10);

/// Runs both.
pub async fn run(gateway: GatewaySettings, auth: AuthSettings) -> anyhow::Result<()> {
    let public = listen_for_clients(&gateway).await?;
    let internal = listen(gateway.internal_host(), gateway.internal_port()?).await?;
    let lifecycle = Lifecycle::new();
    lifecycle.leave_on_signal()?;
    let seeded = auth.seed.enabled;
    let announcement = announcement(&gateway, &auth, public.local_addr()?, internal.local_addr()?);
    // It waits for its database until that answers or the process is asked to end.
    let building = Box::pin(AuthService::build(auth, &lifecycle));
    let Some(built) = lifecycle.leaving().run_until_cancelled(building).await else { return Ok(()) };
    let auth = Arc::new(built?);
    let own_keys = gateway.jwt.secret.is_empty() && gateway.jwt.jwks_url.is_empty();
    let keys = if own_keys { Some(KeySource::Local(auth.jwks())) } else { gateway.key_source()? };
    let gateway = Arc::new(Gateway::build(gateway, keys, &lifecycle)?);
    auth.revoke_through(gateway.revocations(), &lifecycle);

    println!("{announcement}");
    log_demo_users(seeded, public.local_addr()?.ip());
    // Only the auth service's fallback stays: axum cannot merge routers that both have one.
    let routes = gateway.router().reset_fallback().merge(page::router()).merge(auth.router());
    let serving = Arc::clone(&gateway);
    tokio::join!(
        serving.serve_public(public, routes),
        serving.serve_internal(internal, internal_routes(Arc::clone(&gateway), Arc::clone(&auth))),
    );
    let ended = lifecycle.finish(GRACE).await;
    let _ = tokio::time::timeout(GRACE, auth.close()).await;
    anyhow::ensure!(ended, "some tasks did not end within {} s of the stop", GRACE.as_secs());
    Ok(())
}

/// Logs a warning if other machines reach the demo users, and how to get demo users if there are none.
fn log_demo_users(seeded: bool, at: IpAddr) {
    match (seeded, at.is_loopback()) {
        (true, false) => {
            tracing::warn!(
                %at,
                "other machines can sign in as the demo users, whose password is public; set `seed.enabled` \
                 (SEED_ENABLED) to false"
            );
        }
        (false, _) => {
            tracing::info!("there are no demo users; to create them, set `seed.enabled` (SEED_ENABLED) to true");
        }
        (true, true) => {}
    }
}

/// The gateway's internal routes, with a `/readyz` and `/metrics` for both services.
fn internal_routes(gateway: Arc<Gateway>, auth: Arc<AuthService>) -> Router {
    let others = gateway.internal_router();
    let services = (Arc::clone(&gateway), Arc::clone(&auth));
    let ready = move || async move {
        let (readiness, database) = (gateway.readiness(), auth.is_ready().await);
        let (code, status) = match (readiness.is_ready(), database) {
            (true, true) => (StatusCode::OK, readiness.as_str()),
            (true, false) => (StatusCode::SERVICE_UNAVAILABLE, "unready"),
            (false, _) => (StatusCode::SERVICE_UNAVAILABLE, readiness.as_str()),
        };
        let mut body = json!({ "status": status, "node": gateway.id().as_str(), "parts": to_value(readiness).unwrap_or_default() });
        body["parts"]["database"] = database.into();
        let unkept = gateway.unkept();
        if !unkept.is_empty() {
            body["unkept"] = to_value(unkept).unwrap_or_default();
        }
        (code, Json(body)).into_response()
    };
    let metrics = move || async move {
        services.0.sample_gauges();
        services.1.sample_gauges();
        ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::render())
    };
    Router::new().route("/readyz", get(ready)).route("/metrics", get(metrics)).fallback_service(others)
}

/// The lines printed at the start.
fn announcement(gateway: &GatewaySettings, auth: &AuthSettings, public: SocketAddr, internal: SocketAddr) -> String {
    let url = |at: SocketAddr| match at.ip() {
        ip if ip.is_unspecified() || ip.is_loopback() => format!("http://localhost:{}", at.port()),
        _ => format!("http://{at}"),
    };
    let mut lines = vec![
        ("page", url(public)),
        ("accounts", format!("{}/api", url(public))),
        ("operators", format!("{}/readyz, /healthz, /metrics", url(internal))),
    ];
    // URLs of back ends may hold passwords, so only the kind is printed, or the SQLite file.
    lines.push(("cluster", if gateway.redis.is_set() { "Redis" } else { "in memory" }.into()));
    lines.push(("users", auth.database.url.strip_prefix("sqlite://").unwrap_or("Postgres").into()));
    if auth.seed.enabled {
        for (email, ..) in demo::USERS {
            lines.push(("demo user", format!("{email}, password {}", demo::PASSWORD)));
        }
    } else {
        lines.push(("demo users", "none; SEED_ENABLED=true creates them, with a public password".into()));
    }
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    lines.iter().map(|(name, text)| format!("{name:width$}  {text}\n")).collect()
}
