//! Postgres away and back, seen through a relay that can be cut.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use jackfield_shared::lifecycle::Lifecycle;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

use crate::harness::{Database, TestServer};

const PATIENCE: Duration = Duration::from_secs(30);

/// Passes bytes on to `target`, until stopped; then nobody listens on its port.
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

async fn until_ready_is(server: &TestServer, status: u16) {
    let start = Instant::now();
    while server.get_internal("/readyz").await.status != status {
        assert!(start.elapsed() < PATIENCE, "/readyz never became {status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_goes_and_comes_back() {
    Database::postgres().await.run(through_an_outage).await;
}

async fn through_an_outage(database: Database) {
    let options: sqlx::postgres::PgConnectOptions = database.url.parse().unwrap();
    let host = (options.get_host().to_owned(), options.get_port());
    let target = tokio::net::lookup_host(host).await.unwrap().next().unwrap();
    let (at, up) = relay("127.0.0.1:0".parse().unwrap(), target).await;
    let here = options.host("127.0.0.1").port(at.port());
    let url = sqlx::ConnectOptions::to_url_lossy(&here).to_string();
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
