//! This node's connections to one Redis.
//!
//! - `quick`: one [`SharedConnection`]. Concurrent calls share round trips, and Redis runs them in the order of
//!   sending; a script that Redis does not know is sent again, and so runs later.
//! - `commit`: see [`super::commit`].
//! - `bulk`: a small pool, for passes over thousands of entries, so that no client's message waits behind them.
//!
//! Every wait ends after [`TIMEOUT`], or sooner if [`deadline`] leaves less. Scripts are called by SHA. Their source is
//! sent if Redis does not know it, and before every batch on `bulk`.
//!
//! A Redis that refuses writes (memory full, disk full, a replica), or refuses this user's commands, is [`Unavailable`]
//! like one that is down; for quick calls the log has the reason. If Redis refuses writes, scripts stay all or nothing:
//! Redis refuses a script's first write, or none. A permission that the user lacks can stop a script halfway. A master
//! that became a replica keeps its connections, while its address may lead to the new master: so `READONLY` replaces
//! the quick connection and the idle bulk connections.

use std::{
    future::Future,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use deadpool_redis::{Connection, Pool, PoolConfig, PoolError, Runtime, Timeouts};
use jackfield_shared::lifecycle::Lifecycle;
use parking_lot::Mutex;
use redis::{
    ErrorKind, FromRedisValue, Pipeline, PushInfo, RedisError, RedisResult, Script, ScriptInvocation, ServerErrorKind,
    ToRedisArgs, Value,
    aio::{ConnectionLike as _, MultiplexedConnection},
};

use crate::metrics;
use crate::{
    TIMEOUT, Unavailable,
    deadline::{self, Wait},
    log::{Durability, Shortfall},
    redis::commit::{Barrier, Commits},
    redis::connector::Connector,
    redis::keys::Keys,
    redis::shared::SharedConnection,
    redis::target::RedisTarget,
};

const BULK_CONNECTIONS: usize = 2;
/// One in this many quick calls is timed: a prime, so that no regular pattern of calls hides some from the sample.
const TIMED: usize = 17;
/// Error codes of a Redis that refuses writes.
const NO_WRITES: [&str; 4] = ["OOM", "MISCONF", "READONLY", "NOREPLICAS"];
/// Error codes of a Redis that requires a login, or a user with more permissions.
const NO_PERMISSION: [&str; 3] = ["NOAUTH", "NOPERM", "WRONGPASS"];
/// In a script the code is ERR, and the text contains the first of these up to Redis 7.0, the second from 7.2 on.
const NO_PERMISSION_IN_SCRIPT: [&str; 2] = ["user executing the script can't", "ACL failure in script"];
/// Time between two log lines about refused commands, and between two reconnects because of them.
const REFUSED_AGAIN: Duration = Duration::from_secs(5);

/// See the module.
pub struct RedisLink {
    connector: Arc<Connector>,
    quick: SharedConnection,
    bulk: Pool,
    commits: Commits,
    /// When a refused command was last logged, and led to a reconnect if necessary.
    refused: Mutex<Option<Instant>>,
    /// Quick calls so far.
    calls: AtomicUsize,
    pub(crate) keys: Keys,
}

impl RedisLink {
    /// Does not connect yet.
    #[must_use]
    pub fn new(target: RedisTarget, prefix: &str, lifecycle: &Lifecycle) -> Self {
        let connector = Arc::new(Connector::new(target));
        Self {
            quick: SharedConnection::new(Arc::clone(&connector), lifecycle),
            bulk: pool(&connector),
            commits: Commits::new(Arc::clone(&connector), lifecycle),
            connector,
            refused: Mutex::new(None),
            calls: AtomicUsize::new(0),
            keys: Keys::new(prefix),
        }
    }

    /// A connection of its own, for subscriptions.
    pub(crate) async fn pubsub(
        &self,
        pushed: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<MultiplexedConnection, Unavailable> {
        self.within(Timing::of("pubsub"), TIMEOUT, self.connector.subscriptions(pushed)).await
    }

    /// This machine's address on the way to Redis.
    pub(crate) async fn local_address(&self) -> Result<IpAddr, Unavailable> {
        let found = tokio::time::timeout(TIMEOUT, self.connector.local_address()).await;
        found.ok().and_then(Result::ok).ok_or(Unavailable)
    }

    /// One command.
    pub(crate) async fn command<T: FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, Unavailable> {
        let mut connection = self.quick.clone();
        self.within(self.quick(), TIMEOUT, command.query_async(&mut connection)).await
    }

    /// One script.
    pub(crate) async fn script<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> Result<T, Unavailable> {
        let mut connection = self.quick.clone();
        self.within(self.quick(), TIMEOUT, call.invoke_async(&mut connection)).await
    }

    /// One script, whose call was begun with [`call`]: costs fewer allocations than [`RedisLink::script`].
    pub(crate) async fn call<T: FromRedisValue>(&self, script: &Script, call: &redis::Cmd) -> Result<T, Unavailable> {
        let mut connection = self.quick.clone();
        let calling = async {
            match call.query_async(&mut connection).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    script.load_async(&mut connection).await?;
                    call.query_async(&mut connection).await
                }
                answer => answer,
            }
        };
        self.within(self.quick(), TIMEOUT, calling).await
    }

    /// One script that writes. Answered once what it wrote, and everything that Redis wrote before, has passed the
    /// barrier.
    pub(crate) async fn commit<T: FromRedisValue>(
        &self,
        barrier: Barrier,
        script: &'static Script,
        call: redis::Cmd,
    ) -> Result<T, Unavailable> {
        let until = Instant::now() + deadline::left(TIMEOUT).ok_or(Unavailable)?;
        let answered = async { Ok(T::from_redis_value(self.commits.run(barrier, script, call, until).await?)?) };
        let answer = self.within(Timing::of("commit"), TIMEOUT, answered).await;
        let outcome = if answer.is_ok() { "reached" } else { "unavailable" };
        metrics::COMMITTED.add_for([barrier.durability().as_str(), outcome], 1);
        answer
    }

    /// Begins to check whether Redis can give this durability.
    pub(crate) fn watch(&self, durability: Durability) {
        self.commits.watch(durability);
    }

    /// Why Redis does not give this durability at present; empty if it does.
    pub(crate) fn shortfalls(&self, durability: Durability) -> Vec<Shortfall> {
        self.commits.shortfall(durability).into_iter().collect()
    }

    /// Something that another task sends over this connection: waits like for a quick call.
    pub(crate) async fn sent_elsewhere<T>(&self, wait: impl Future<Output = RedisResult<T>>) -> Result<T, Unavailable> {
        self.within(self.quick(), TIMEOUT, wait).await
    }

    /// Several commands in one write, without a limit of our own on the wait. Returns each command's answer or error.
    pub(crate) async fn raw(&self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        self.quick.clone().req_packed_commands(pipeline, 0, pipeline.len()).await
    }

    /// Sends a script's source.
    pub(crate) async fn load(&self, script: &Script) -> RedisResult<()> {
        script.load_async(&mut self.quick.clone()).await.map(drop)
    }

    /// Counts a quick call, and starts timing it if it is one in [`TIMED`].
    fn quick(&self) -> Timing {
        let timed = self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(TIMED);
        Timing { connection: "quick", begun: timed.then(Instant::now) }
    }

    /// One script, many times in one pipeline, over the pool.
    pub(crate) async fn script_each<T: FromRedisValue, A: ToRedisArgs>(
        &self,
        script: &Script,
        calls: impl Iterator<Item = ScriptCall<A>>,
    ) -> Result<Vec<T>, Unavailable> {
        let mut pipeline = Pipeline::new();
        for ScriptCall { keys, arguments } in calls {
            pipeline.cmd("EVALSHA").arg(script.get_hash()).arg(keys.len()).arg(keys).arg(arguments);
        }
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.bulk_connection().await?;
        // Loading first costs one round trip per batch, but then no call fails because Redis has lost the script.
        self.within(Timing::of("bulk"), TIMEOUT, script.load_async(&mut connection)).await?;
        self.within(Timing::of("bulk"), TIMEOUT, pipeline.query_async(&mut connection)).await
    }

    async fn bulk_connection(&self) -> Result<Connection, Unavailable> {
        let limit = deadline::left(TIMEOUT).ok_or(Unavailable)?;
        let kind = match tokio::time::timeout(limit, self.bulk.get()).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(PoolError::Timeout(_))) => "timeout",
            Ok(Err(_)) => "error",
            Err(_) => {
                deadline::ended(Wait::TimedOut);
                "timeout"
            }
        };
        metrics::REDIS_ERRORS.add_for(["bulk", kind], 1);
        Err(Unavailable)
    }

    /// A pipeline over the pool.
    pub(crate) async fn bulk<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, Unavailable> {
        let mut connection = self.bulk_connection().await?;
        self.within(Timing::of("bulk"), TIMEOUT, pipeline.query_async(&mut connection)).await
    }

    /// The answer, or [`Unavailable`] on an error or after `limit`.
    async fn within<T>(
        &self,
        Timing { connection, begun }: Timing,
        limit: Duration,
        wait: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, Unavailable> {
        let limit = deadline::left(limit).ok_or(Unavailable)?;
        let answered = tokio::time::timeout(limit, wait).await;
        metrics::REDIS_CALLS.add_for([connection], 1);
        if let Some(begun) = begun {
            metrics::REDIS.record_for([connection], begun.elapsed());
        }
        let kind = match answered {
            Ok(Ok(answer)) => {
                deadline::ended(Wait::Answered);
                return Ok(answer);
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "redis");
                deadline::ended(Wait::TimedOut);
                if self.refused(&error) {
                    "refused"
                } else if error.is_timeout() {
                    "timeout"
                } else {
                    "error"
                }
            }
            Err(_) => {
                deadline::ended(Wait::TimedOut);
                "timeout"
            }
        };
        metrics::REDIS_ERRORS.add_for([connection, kind], 1);
        Err(Unavailable)
    }

    /// Logs an error by which Redis refuses a command, and reconnects on READONLY, both at most every
    /// [`REFUSED_AGAIN`]. False for any other error.
    pub(crate) fn refused(&self, error: &RedisError) -> bool {
        let code = error.code().unwrap_or_default();
        let problem = match code {
            _ if NO_WRITES.contains(&code) => "redis refuses writes: check its memory, disk and role",
            _ if NO_PERMISSION.contains(&code) || may_not_in_script(error) => {
                "redis refuses commands of this user: see its ACL"
            }
            _ => return false,
        };
        {
            let mut refused = self.refused.lock();
            if refused.is_some_and(|at| at.elapsed() < REFUSED_AGAIN) {
                return true;
            }
            *refused = Some(Instant::now());
        }
        tracing::warn!(%error, "{problem}");
        if code == "READONLY" {
            self.quick.renew();
            self.bulk.retain(|_, _| false);
        }
        true
    }
}

/// A small pool, which connects when it is first used. A connection must answer a PING before it is used again.
#[expect(clippy::expect_used, reason = "the target has accepted the address, and the pool has a runtime")]
fn pool(connector: &Connector) -> Pool {
    let timeouts = Timeouts { wait: Some(TIMEOUT), create: Some(TIMEOUT), recycle: Some(TIMEOUT) };
    let config = PoolConfig { timeouts, ..PoolConfig::new(BULK_CONNECTIONS) };
    let manager = connector.manager().expect("a valid address");
    Pool::builder(manager).config(config).runtime(Runtime::Tokio1).build().expect("it has a runtime")
}

fn may_not_in_script(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| NO_PERMISSION_IN_SCRIPT.iter().any(|words| detail.contains(words)))
}

/// The beginning of a call for [`RedisLink::call`]: add `keys` keys and the arguments, `total` together, which take
/// about `bytes`.
pub(crate) fn call(script: &Script, keys: usize, total: usize, bytes: usize) -> redis::Cmd {
    let mut call = redis::Cmd::with_capacity(3 + total, bytes);
    call.arg("EVALSHA").arg(script.get_hash()).arg(keys);
    call
}

/// Keys and arguments of one call in [`RedisLink::script_each`].
pub(crate) struct ScriptCall<A = String> {
    pub(crate) keys: Vec<String>,
    pub(crate) arguments: Vec<A>,
}

/// The connection that a call is counted under, and when it began if it is timed.
struct Timing {
    connection: &'static str,
    begun: Option<Instant>,
}

impl Timing {
    fn of(connection: &'static str) -> Self {
        Self { connection, begun: Some(Instant::now()) }
    }
}
