//! Makes connections to Redis: TCP or a Unix socket, then TLS if the target has it, then the login.
//!
//! An attempt ends within [`CONNECT_TIMEOUT`]. A failure is logged, again when its reason changes (at most every
//! [`CHANGE_AFTER`]), and every [`REMIND_AFTER`] while it lasts; so is the first success after it. No log line contains
//! the login.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use deadpool_redis::Manager;
use parking_lot::Mutex;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, ProtocolVersion, PushInfo, RedisError, RedisFuture,
    RedisResult, aio::MultiplexedConnection, io::AsyncDNSResolver,
};
use tokio::net::{UdpSocket, lookup_host};

use crate::{
    TIMEOUT,
    redis::target::{RedisTarget, Tls},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Time between two log lines about attempts that fail for the same reason.
const REMIND_AFTER: Duration = Duration::from_secs(30);
/// Time between two log lines about attempts that fail for different reasons.
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

impl Connector {
    pub(crate) fn new(target: RedisTarget) -> Self {
        Self { target, failing: Mutex::new(None) }
    }

    /// Number of the database that connections use.
    pub(crate) fn database(&self) -> i64 {
        self.target.client.get_connection_info().redis_settings().db()
    }

    /// This machine's address on the way to Redis, loopback if that is a Unix socket. Sends nothing to Redis.
    pub(crate) async fn local_address(&self) -> io::Result<IpAddr> {
        let (host, port) = match self.target.client.get_connection_info().addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => (host.as_str(), *port),
            _ => return Ok(Ipv4Addr::LOCALHOST.into()),
        };
        let to = lookup_host((self.target.host.as_deref().unwrap_or(host), port)).await?.next();
        let to = to.ok_or(io::ErrorKind::AddrNotAvailable)?;
        let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(to).await?;
        Ok(socket.local_addr()?.ip())
    }

    /// A connection for commands, which ends when the last clone is dropped.
    pub(crate) async fn commands(&self) -> RedisResult<MultiplexedConnection> {
        let config = self.config();
        self.within(self.target.client.get_multiplexed_async_connection_with_config(&config)).await
    }

    /// A connection for subscriptions. It sends everything that Redis pushes to `pushed`, and drops that when it ends.
    pub(crate) async fn subscriptions(
        &self,
        pushed: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> RedisResult<MultiplexedConnection> {
        let info = self.target.client.get_connection_info().clone();
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(settings))?;
        let config = self.config().set_push_sender(move |info| {
            pushed(info);
            Ok::<_, ()>(())
        });
        self.within(client.get_multiplexed_async_connection_with_config(&config)).await
    }

    /// Makes the connections of a pool.
    pub(crate) fn manager(&self) -> RedisResult<Manager> {
        Manager::new_with_config(self.target.client.get_connection_info().clone(), self.config())
    }

    fn config(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(TIMEOUT))
            .set_dns_resolver(Resolver { host: self.target.host.clone() })
    }

    async fn within<T>(&self, connected: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
        let outcome = Box::pin(connected).await.map_err(|error| self.explain(error));
        self.report(outcome.as_ref().err());
        outcome
    }

    /// In TLS 1.3 a server refuses a missing client certificate only after the client's handshake: it sends an
    /// alert, or closes the connection.
    fn explain(&self, error: RedisError) -> RedisError {
        if error.is_timeout() {
            return io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {CONNECT_TIMEOUT:?}")).into();
        }
        let text = match self.target.tls {
            Some(_) if !error.is_io_error() || error.is_connection_refusal() => return error,
            Some(Tls::ServerOnly)
                if error.is_connection_dropped() || error.to_string().contains("CertificateRequired") =>
            {
                let hint = "closed after the TLS handshake; if the server requires a client certificate, set \
                            `redis.certFile` and `redis.keyFile`";
                format!("{hint} ({error})")
            }
            Some(_) => format!("TLS handshake failed: {error}"),
            None => return error,
        };
        io::Error::other(text).into()
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
            ErrorKind::AuthenticationFailed => "Redis refuses the user and password of `redis.url`".to_owned(),
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

/// Finds the addresses of `host`, if there is one, and not of the name that the certificate must have.
struct Resolver {
    host: Option<String>,
}

impl AsyncDNSResolver for Resolver {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        name: &'b str,
        port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        let host = self.host.as_deref().unwrap_or(name);
        Box::pin(async move {
            let unknown = |why: &dyn fmt::Display| io::Error::new(io::ErrorKind::NotFound, format!("{host}: {why}"));
            let addresses: Vec<_> = lookup_host((host, port)).await.map_err(|error| unknown(&error))?.collect();
            if addresses.is_empty() {
                return Err(unknown(&"has no address").into());
            }
            Ok(Box::new(addresses.into_iter()) as _)
        })
    }
}
