//! Postgres goes away and comes back, behind a relay that the test can cut.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use jackfield_shared::lifecycle::Lifecycle;
use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

use crate::harness::{Database, TestServer};

const PATIENCE: Duration = Duration::from_secs(30);

/// Forwards bytes to `target` until stopped; then nothing listens on its port.
async fn relay(at: SocketAddr, target: SocketAddr) -> (SocketAddr, Lifecycle) {
    let lifecycle = Lifecycle::new();
    let listener = TcpListener::bind(at).await.unwrap();
    let (at, stop, spawner) = (listener.local_addr().unwrap(), lifecycle.stopping(), lifecycle.clone());
    lifecycle.spawn(async move {
        while let Some(Ok((mut client, _))) = stop.run_until_cancelled(listener.accept()).await {
            let stop = stop.clone();
            spawner.spawn(async move {
                let mut server = TcpStream::connect(target).await.unwrap();
                stop.run_until_cancelled(copy_bidirectional(&mut client, &mut server)).await;
            });
        }
    });
    (at, lifecycle)
}

async fn server_of(database: &Database) -> SocketAddr {
    let options: PgConnectOptions = database.url.parse().unwrap();
    let host = (options.get_host().to_owned(), options.get_port());
    tokio::net::lookup_host(host).await.unwrap().next().unwrap()
}

/// The database's URL through the relay at `at`.
fn through(database: &Database, at: SocketAddr) -> String {
    let options: PgConnectOptions = database.url.parse().unwrap();
    options.host("127.0.0.1").port(at.port()).to_url_lossy().to_string()
}

/// An address on which nothing listens.
async fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn until_ready_is(server: &TestServer, status: u16) {
    let start = Instant::now();
    while server.get_internal("/readyz").await.status != status {
        assert!(start.elapsed() < PATIENCE, "/readyz never became {status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_waits_for_postgres_at_its_start() {
    Database::on_postgres(from_before_postgres).await;
}

async fn from_before_postgres(database: Database) {
    let (target, absent) = (server_of(&database).await, free_address().await);
    let url = through(&database, absent);
    let [port, internal] = [free_address().await, free_address().await].map(|at| at.port());
    let plan = TestServer::on(&database).set(&format!("database.url={url}")).set(&format!("port={port}"));
    let mut starting = tokio::task::JoinSet::new();
    starting.spawn(plan.set(&format!("internal.port={internal}")).start());
    let ask = async |port: u16, path: &str| {
        let answer = reqwest::get(format!("http://127.0.0.1:{port}{path}")).await.ok()?;
        Some((answer.status().as_u16(), answer.headers().contains_key("retry-after")))
    };
    let start = Instant::now();
    while ask(internal, "/readyz").await.is_none_or(|(status, _)| status != 503) {
        assert!(start.elapsed() < PATIENCE, "/readyz never answered 503");
    }
    assert_eq!(ask(internal, "/healthz").await, Some((200, false)), "alive, so no orchestrator restarts it");
    assert_eq!(ask(port, "/.well-known/jwks.json").await, Some((503, true)));

    let _up = relay(absent, target).await;
    let server = tokio::time::timeout(PATIENCE, starting.join_next()).await.unwrap().unwrap().unwrap();
    until_ready_is(&server, 200).await;
    server.register("ann@mail.com").await.ok(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_goes_and_comes_back() {
    Database::on_postgres(through_an_outage).await;
}

async fn through_an_outage(database: Database) {
    let target = server_of(&database).await;
    let (at, up) = relay("127.0.0.1:0".parse().unwrap(), target).await;
    let url = through(&database, at);
    let server = Arc::new(TestServer::on(&database).set(&format!("database.url={url}")).start().await);
    let token = server.register("ann@mail.com").await.ok(201).token().to_owned();
    until_ready_is(&server, 200).await;

    assert!(up.finish(PATIENCE).await);
    let away = server.check_status(&token).await.error(503, "unavailable");
    assert!(!away.header("retry-after").is_empty());
    server.login("ann@mail.com", "P44sw0rd").await.error(503, "unavailable");
    until_ready_is(&server, 503).await;
    server.get("/.well-known/jwks.json").await.ok(200);

    let _back = relay(at, target).await;
    until_ready_is(&server, 200).await;
    server.login("ann@mail.com", "P44sw0rd").await.ok(200);
}
