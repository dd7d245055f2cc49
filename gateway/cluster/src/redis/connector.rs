//! Makes connections to one server: TCP or a Unix socket, then TLS if the target has it, then the login. The server is
//! the one at the target's address, or the master that its sentinels name at that moment.
//!
//! An attempt ends within [`CONNECT_TIMEOUT`], with sentinels within [`ELECT_TIMEOUT`]. Failures are logged, not every one
//! ([`super::report`]), and so is the first success after them. No log line contains the login.
//!
//! Connections have a generation. A new one begins when the server is another one ([`Connector::renew`], or the sentinels
//! name another master): connections of an earlier one must not be used any more.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use jackfield_shared::lifecycle::Lifecycle;
use parking_lot::Mutex;
use redis::{ErrorKind, RedisError, RedisResult};
use tokio::{sync::watch, time::timeout};

use super::{
    commands::Commands,
    hello::{Greeting, Protocol, hello},
    keys::Keys,
    report::Failing,
    sentinel::{self, Council},
    stream::{self, Stream, StreamError},
    target::{Address, Endpoint, Place, RedisTarget},
    term::Terms,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// For finding the master and connecting to it.
pub(super) const ELECT_TIMEOUT: Duration = Duration::from_millis(1_500);

/// See the module.
pub(crate) struct Connector {
    target: RedisTarget,
    /// The sentinels that keep the server.
    council: Option<Arc<tokio::sync::Mutex<Council>>>,
    terms: Terms,
    generation: watch::Sender<u64>,
    /// The master's address at the last connect.
    master: Mutex<Option<Address>>,
    failing: Failing,
    /// Sentinels that could not help, while others could.
    passed_over: Failing,
}

impl Connector {
    /// Does not connect yet. With sentinels, begins to watch for another master.
    pub(crate) fn start(target: RedisTarget, keys: &Keys, lifecycle: &Lifecycle) -> Arc<Self> {
        let council = match &target.0 {
            Place::Master(master) => Some(Arc::new(tokio::sync::Mutex::new(Council::new(master.clone())))),
            Place::Address(_) | Place::Node(_) => None,
        };
        let connector = Arc::new(Self {
            target,
            council,
            terms: Terms::new(keys),
            generation: watch::Sender::new(0),
            master: Mutex::new(None),
            failing: Failing::default(),
            passed_over: Failing::default(),
        });
        if let Some(council) = &connector.council {
            let watch = sentinel::watch(Arc::clone(council), Arc::clone(&connector), lifecycle.stopping());
            drop(lifecycle.spawn(watch));
        }
        connector
    }

    /// The server, or the one that its sentinels keep.
    pub(crate) fn target(&self) -> &RedisTarget {
        &self.target
    }

    /// Number of the database that connections use.
    pub(crate) fn database(&self) -> i64 {
        self.target.database()
    }

    /// This machine's address on the way to the server. Sends nothing to it.
    pub(crate) async fn local_address(&self) -> io::Result<IpAddr> {
        let endpoint = match &self.target.0 {
            Place::Address(endpoint) | Place::Node(endpoint) => endpoint,
            Place::Master(master) => &master.sentinels[0],
        };
        stream::local_address(endpoint).await
    }

    /// A connection for commands. The server's [term](super::term) is written.
    pub(crate) async fn commands(&self) -> RedisResult<Commands> {
        let opening = async {
            let (stream, generation) = self.open(Protocol::Resp2).await?;
            let mut commands = Commands::over(stream, generation).await?;
            within(CONNECT_TIMEOUT, self.terms.write(&mut commands)).await.map_err(unwritable)?;
            Ok(commands)
        };
        let opened = opening.await;
        self.report(opened.as_ref().err());
        opened
    }

    /// A connection that is logged in, with the protocol by which Redis pushes messages, for subscriptions. It must be
    /// dropped when [`Connector::generation`] differs from the number that comes with it.
    pub(crate) async fn resp3(&self) -> RedisResult<(Stream, u64)> {
        let opened = self.open(Protocol::Resp3).await;
        if let Err(error) = &opened {
            // A success says little: such a connection needs fewer permissions than one for commands.
            self.report(Some(error));
        }
        opened
    }

    /// The number of the generation, now and after each change.
    pub(crate) fn generation(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Whether the server may be another one than that of this connection.
    pub(crate) fn is_outdated(&self, connection: &Commands) -> bool {
        connection.generation != *self.generation.borrow()
    }

    /// Fails if the server of this connection is being replaced, or may be: then a replica that has its writes may be none
    /// of the new master. Without sentinels nobody knows.
    pub(crate) fn check<'a>(&'a self, connection: &'a Commands) -> BoxFuture<'a, RedisResult<()>> {
        let check = async move {
            let Some(council) = &self.council else { return Ok(()) };
            let mut council = council.lock().await;
            let master = self.master.lock().clone();
            match master {
                Some(master) if !self.is_outdated(connection) => council.check(&master).await,
                _ => Err(failed("the sentinels have another master")),
            }
        };
        // Without its type, which would be a part of that of every append.
        check.boxed()
    }

    /// Abandons all connections: the server may be another one.
    pub(crate) fn renew(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    async fn open(&self, protocol: Protocol) -> RedisResult<(Stream, u64)> {
        let generation = *self.generation.borrow();
        match &self.target.0 {
            Place::Address(endpoint) | Place::Node(endpoint) => {
                let is_node = matches!(self.target.0, Place::Node(_));
                let opened = within(CONNECT_TIMEOUT, Box::pin(login(endpoint, protocol))).await;
                opened.and_then(|(stream, greeting)| check(is_node, &greeting).map(|()| (stream, generation)))
            }
            Place::Master(master) => {
                let found =
                    within(ELECT_TIMEOUT, Box::pin(sentinel::connect(master, protocol, &self.passed_over))).await;
                found.map(|(stream, at)| (stream, self.found(at)))
            }
        }
    }

    /// The master is there. Returns the generation.
    pub(super) fn found(&self, at: Address) -> u64 {
        let mut master = self.master.lock();
        if let Some(last) = master.as_ref().filter(|last| **last != at) {
            tracing::info!(redis = %self.target, from = %last, to = %at, "another master");
            self.renew();
        }
        *master = Some(at);
        *self.generation.borrow()
    }

    /// Whether connections are made elsewhere.
    pub(super) fn is_elsewhere(&self, than: &Address) -> bool {
        self.master.lock().as_ref().is_some_and(|master| master != than)
    }

    fn report(&self, error: Option<&RedisError>) {
        match error.map(ToString::to_string) {
            None if self.failing.ended() => tracing::info!(redis = %self.target, "connected to redis"),
            Some(reason) if self.failing.is_due(&reason) => {
                tracing::warn!(redis = %self.target, error = %reason, "cannot connect to redis, trying again");
            }
            _ => {}
        }
    }
}

/// Connects to one address and logs in.
pub(super) async fn login(endpoint: &Endpoint, protocol: Protocol) -> RedisResult<(Stream, Greeting)> {
    let mut stream = stream::open(endpoint).await.map_err(|error| explain(endpoint, error))?;
    match hello(&mut stream, &endpoint.login, protocol).await {
        Ok(greeting) => Ok((stream, greeting)),
        Err(error) if error.kind() == ErrorKind::AuthenticationFailed => {
            Err(failed(format!("Redis refuses the user and password of `{}`", endpoint.key)))
        }
        // In TLS 1.3 a server refuses a missing client certificate only after the client's handshake.
        Err(error) if error.is_io_error() => match &endpoint.tls {
            Some(tls) if !tls.is_mutual => Err(without_certificate(&error)),
            Some(_) => Err(failed(format!("TLS handshake failed: {error}"))),
            None => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// The wait's outcome, or an error that says how long it was.
pub(super) async fn within<T>(limit: Duration, wait: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let no_answer = |_| io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {limit:?}"));
    timeout(limit, wait).await.map_err(no_answer)?
}

/// An error that ends the attempt, with a text for the log.
pub(super) fn failed(text: impl Into<String>) -> RedisError {
    io::Error::other(text.into()).into()
}

/// The error code stays: callers act on READONLY, and tell a Cluster that is down from a server that is away.
fn unwritable(error: RedisError) -> RedisError {
    match error.code() {
        Some("NOPERM") => {
            failed(format!("Redis refuses a command that every connection begins with, see the ACL: {error}"))
        }
        _ => error,
    }
}

fn check(is_node: bool, greeting: &Greeting) -> RedisResult<()> {
    match greeting.mode.as_str() {
        "sentinel" => Err(failed("this is a sentinel: name it in `redis.sentinels`, with `redis.master`")),
        "cluster" if !is_node => Err(failed("this is a node of a Redis Cluster: set `redis.cluster`")),
        _ => Ok(()),
    }
}

fn explain(endpoint: &Endpoint, error: StreamError) -> RedisError {
    match error {
        StreamError::Unreachable(error) => error.into(),
        StreamError::Handshake(error) if endpoint.tls.as_ref().is_some_and(|tls| !tls.is_mutual) && ended(&error) => {
            without_certificate(&error.into())
        }
        StreamError::Handshake(error) => failed(format!("TLS handshake failed: {error}")),
    }
}

fn ended(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
        || error.to_string().contains("CertificateRequired")
}

fn without_certificate(error: &RedisError) -> RedisError {
    failed(format!(
        "closed after the TLS handshake; if the server requires a client certificate, set `redis.certFile` and \
         `redis.keyFile` ({error})"
    ))
}

#[cfg(test)]
#[path = "connector_tests.rs"]
mod tests;
