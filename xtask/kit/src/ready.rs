//! Readiness checks over TCP, each with its own timeout.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long a server may take to become ready.
pub const LIMIT: Duration = Duration::from_secs(60);
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// A GET of `path` is answered with 200.
pub async fn http_ok(port: u16, path: &str) -> Result<()> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    let answer = ask(port, &request, true).await?;
    let status = answer.split(' ').nth(1).unwrap_or_default();
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default().trim();
    ensure!(status == "200", "{path} answered {status}: {body}");
    Ok(())
}

/// The port accepts a connection.
pub async fn tcp(port: u16) -> Result<()> {
    let connecting = TcpStream::connect(("127.0.0.1", port));
    timeout(CHECK_TIMEOUT, connecting).await.context("no connection in time")??;
    Ok(())
}

/// Sends a request and returns the beginning of the answer, or all of it.
pub(crate) async fn ask(port: u16, request: &str, to_the_end: bool) -> Result<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        while stream.read_buf(&mut answer).await? > 0 && to_the_end && answer.len() < 65_536 {}
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    Ok(timeout(CHECK_TIMEOUT, exchange).await.context("no answer in time")??)
}
