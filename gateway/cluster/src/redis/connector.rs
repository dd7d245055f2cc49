//! Makes connections to Redis: TCP or a Unix socket, then TLS if the target has it, then the login.
//!
//! An attempt ends within [`CONNECT_TIMEOUT`]. A failure is logged, again when its reason changes (at most every
//! [`CHANGE_AFTER`]), and every [`REMIND_AFTER`] while it lasts; so is the first success after it. No log line contains
//! the login.

use std::{
    fmt, io,
    time::{Duration, Instant},
};

use futures_util::future::select_ok;
use parking_lot::Mutex;
use redis::{
    AsyncConnectionConfig, ConnectionAddr, ErrorKind, RedisError, RedisResult,
    aio::{MultiplexedConnection, PubSub},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream, lookup_host},
};
use tokio_rustls::TlsConnector;

use crate::{
    TIMEOUT,
    redis::target::{RedisTarget, Tls},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Between two log lines about attempts that fail for the same reason.
const REMIND_AFTER: Duration = Duration::from_secs(30);
/// Between two log lines about attempts that fail for different reasons.
const CHANGE_AFTER: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct Connector {
    target: RedisTarget,
    failing: Mutex<Option<Failure>>,
}

/// The last failure that was logged.
struct Failure {
    reason: String,
    logged: Instant,
}

/// The transport of a connection.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Connector {
    pub(crate) fn new(target: RedisTarget) -> Self {
        Self { target, failing: Mutex::new(None) }
    }

    /// Number of the database that connections use.
    pub(crate) fn database(&self) -> i64 {
        self.target.login.db()
    }

    /// A connection for commands. Its task ends when the last clone is dropped.
    pub(crate) async fn commands(&self) -> RedisResult<MultiplexedConnection> {
        let connected = self.within(async {
            let config = AsyncConnectionConfig::new().set_response_timeout(Some(TIMEOUT));
            let stream = self.stream().await?;
            let login = MultiplexedConnection::new_with_config(&self.target.login, stream, config);
            login.await.map_err(|error| self.explain(error))
        });
        let (connection, driver) = connected.await?;
        #[expect(clippy::disallowed_methods, reason = "ends with its connection, whose holders are tracked")]
        drop(tokio::spawn(driver));
        Ok(connection)
    }

    /// A connection for subscriptions.
    pub(crate) async fn subscriptions(&self) -> RedisResult<PubSub> {
        let connected = async {
            let stream = self.stream().await?;
            PubSub::new(&self.target.login, stream).await.map_err(|error| self.explain(error))
        };
        self.within(connected).await
    }

    async fn within<T>(&self, connected: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
        let late = |_| Err(failed(io::ErrorKind::TimedOut, format!("no answer within {CONNECT_TIMEOUT:?}")));
        let outcome = tokio::time::timeout(CONNECT_TIMEOUT, Box::pin(connected)).await.unwrap_or_else(late);
        self.report(outcome.as_ref().err());
        outcome
    }

    async fn stream(&self) -> RedisResult<Box<dyn Stream>> {
        let tcp = match &self.target.address {
            ConnectionAddr::Tcp(host, port) => connect(host, *port).await?,
            ConnectionAddr::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
            other => return Err(failed(io::ErrorKind::Unsupported, format!("cannot connect to {other}"))),
        };
        let Some(Tls { config, name, .. }) = &self.target.tls else { return Ok(Box::new(tcp)) };
        match TlsConnector::from(config.clone()).connect(name.clone(), tcp).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(failed(error.kind(), format!("TLS handshake failed: {error}"))),
        }
    }

    /// In TLS 1.3 a server refuses a missing client certificate only after the client's handshake: it sends an
    /// alert, or closes the connection.
    fn explain(&self, error: RedisError) -> RedisError {
        match &self.target.tls {
            Some(Tls { client: false, .. }) if error.is_io_error() && !error.is_timeout() => {
                let hint = "closed after the TLS handshake; if the server requires a client certificate, set \
                            `redis.certFile` and `redis.keyFile`";
                failed(io::ErrorKind::ConnectionAborted, format!("{hint} ({error})"))
            }
            _ => error,
        }
    }

    fn report(&self, error: Option<&RedisError>) {
        let mut failing = self.failing.lock();
        let Some(error) = error else {
            if failing.take().is_some() {
                tracing::info!(redis = %self.target, "connected to redis");
            }
            return;
        };
        let reason = match error.kind() {
            ErrorKind::AuthenticationFailed => "it refuses the user and password of `redis.url`".to_owned(),
            _ => error.to_string(),
        };
        if let Some(Failure { reason: last, logged }) = &*failing {
            let pause = if *last == reason { REMIND_AFTER } else { CHANGE_AFTER };
            if logged.elapsed() < pause {
                return;
            }
        }
        tracing::warn!(redis = %self.target, error = %reason, "cannot connect to redis, trying again");
        *failing = Some(Failure { reason, logged: Instant::now() });
    }
}

/// Connects to the first of the host's addresses that answers.
async fn connect(host: &str, port: u16) -> RedisResult<TcpStream> {
    let unknown = |error: io::Error| failed(error.kind(), format!("{host}: {error}"));
    let addresses: Vec<_> = lookup_host((host, port)).await.map_err(unknown)?.collect();
    if addresses.is_empty() {
        return Err(failed(io::ErrorKind::NotFound, format!("{host} has no address")));
    }
    let connecting = addresses.into_iter().map(|address| Box::pin(TcpStream::connect(address)));
    Ok(select_ok(connecting).await?.0)
}

fn failed(kind: io::ErrorKind, text: impl fmt::Display) -> RedisError {
    io::Error::new(kind, text.to_string()).into()
}
