//! This node's connections to one Redis.
//!
//! - `quick`: one multiplexed connection that reconnects by itself. What is asked for at the same time shares round
//!   trips, and the order of asking is the order in Redis.
//! - `bulk`: a small pool, for passes over thousands of entries, so that nobody's message waits behind them.
//!
//! Every wait ends after [`PATIENCE`], or sooner as [`patience`] says. A script is called by its SHA and sent whole where Redis does not know it.
//!
//! A Redis that takes no writes (full, its disk full, a replica) is [`Unavailable`] like one that is away; the log says
//! which. Scripts are all or nothing there too: Redis refuses a script's first write, or none of them. From one that has
//! become a replica new connections are made, because it keeps the old ones while its address may lead to its successor.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use deadpool_redis::{Connection, Pool, PoolConfig, PoolError, Runtime, Timeouts};
use parking_lot::Mutex;
use redis::{
    Client, FromRedisValue, Pipeline, RedisError, RedisResult, Script, ScriptInvocation,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

use super::{
    PATIENCE, Unavailable,
    patience::{self, Wait},
    redis_keys::Keys,
};
use crate::ops::metrics;

const BULK_CONNECTIONS: usize = 2;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Of so many quick calls one is timed: a prime, so that no rhythm of calls keeps some of them out of sight.
const TIMED: usize = 17;
/// What Redis says when it takes no writes.
const REFUSALS: [&str; 4] = ["OOM", "MISCONF", "READONLY", "NOREPLICAS"];
/// Between two lines about that, and between two attempts to find another Redis at the same address.
const REFUSED_AGAIN: Duration = Duration::from_secs(5);

/// See the module.
pub struct RedisLink {
    client: Client,
    quick: ArcSwap<ConnectionManager>,
    bulk: Pool,
    /// When something was last done about a refused write.
    refused: Mutex<Option<Instant>>,
    /// Quick calls until now.
    calls: AtomicUsize,
    pub(super) keys: Keys,
}

impl RedisLink {
    /// Does not connect yet.
    ///
    /// # Errors
    /// Where `url` is not the address of a Redis.
    pub fn new(url: &str, prefix: &str) -> Result<Self, RedisError> {
        let client = Client::open(url)?;
        let quick = ArcSwap::from_pointee(connection(&client)?);
        let mut pool = deadpool_redis::Config::from_url(url);
        let timeouts = Timeouts { wait: Some(PATIENCE), create: Some(CONNECT_TIMEOUT), recycle: Some(PATIENCE) };
        pool.pool = Some(PoolConfig { max_size: BULK_CONNECTIONS, timeouts, ..PoolConfig::default() });
        let invalid = |error: String| RedisError::from((redis::ErrorKind::InvalidClientConfig, "redis.url", error));
        let bulk = pool.create_pool(Some(Runtime::Tokio1)).map_err(|error| invalid(error.to_string()))?;
        Ok(Self { client, quick, bulk, refused: Mutex::new(None), calls: AtomicUsize::new(0), keys: Keys::new(prefix) })
    }

    /// A connection of its own, for subscriptions.
    pub(super) async fn pubsub(&self) -> Result<redis::aio::PubSub, Unavailable> {
        self.within(Timing::of("pubsub"), CONNECT_TIMEOUT, self.client.get_async_pubsub()).await
    }

    /// One command.
    pub(super) async fn command<T: FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, Unavailable> {
        let mut connection = ConnectionManager::clone(&self.quick.load());
        self.within(self.quick(), PATIENCE, command.query_async(&mut connection)).await
    }

    /// One script.
    pub(super) async fn script<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> Result<T, Unavailable> {
        let mut connection = ConnectionManager::clone(&self.quick.load());
        self.within(self.quick(), PATIENCE, call.invoke_async(&mut connection)).await
    }

    /// Whether the next quick call is one that is timed.
    fn quick(&self) -> Timing {
        let timed = self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(TIMED);
        Timing { connection: "quick", begun: timed.then(Instant::now) }
    }

    /// One script, many times in one round trip, over the pool.
    pub(super) async fn script_each<T: FromRedisValue>(
        &self,
        script: &Script,
        calls: impl Iterator<Item = ScriptCall>,
    ) -> Result<Vec<T>, Unavailable> {
        let mut pipeline = Pipeline::new();
        for ScriptCall { keys, arguments } in calls {
            pipeline.cmd("EVALSHA").arg(script.get_hash()).arg(keys.len()).arg(keys).arg(arguments);
        }
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.bulk_connection().await?;
        // Loading first costs one small command a batch, and spares a second pass where Redis has forgotten the script.
        self.within(Timing::of("bulk"), PATIENCE, script.load_async(&mut connection)).await?;
        self.within(Timing::of("bulk"), PATIENCE, pipeline.query_async(&mut connection)).await
    }

    async fn bulk_connection(&self) -> Result<Connection, Unavailable> {
        let limit = patience::left(PATIENCE).ok_or(Unavailable)?;
        let kind = match tokio::time::timeout(limit, self.bulk.get()).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(PoolError::Timeout(_))) => "timeout",
            Ok(Err(_)) => "error",
            Err(_) => {
                patience::ended(Wait::InVain);
                "timeout"
            }
        };
        metrics::REDIS_ERRORS.add_for(["bulk", kind], 1);
        Err(Unavailable)
    }

    /// A pipeline over the pool.
    pub(super) async fn bulk<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, Unavailable> {
        let mut connection = self.bulk_connection().await?;
        self.within(Timing::of("bulk"), PATIENCE, pipeline.query_async(&mut connection)).await
    }

    /// The answer, or [`Unavailable`] on an error or after `limit`.
    async fn within<T>(
        &self,
        Timing { connection, begun }: Timing,
        limit: Duration,
        wait: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, Unavailable> {
        let limit = patience::left(limit).ok_or(Unavailable)?;
        let answered = tokio::time::timeout(limit, wait).await;
        metrics::REDIS_CALLS.add_for([connection], 1);
        if let Some(begun) = begun {
            metrics::REDIS.record_for([connection], begun.elapsed());
        }
        let kind = match answered {
            Ok(Ok(answer)) => {
                patience::ended(Wait::Answered);
                return Ok(answer);
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "redis");
                patience::ended(Wait::InVain);
                if error.code().is_some_and(|code| REFUSALS.contains(&code)) {
                    self.write_refused(&error);
                    "refused"
                } else if error.is_timeout() {
                    "timeout"
                } else {
                    "error"
                }
            }
            Err(_) => {
                patience::ended(Wait::InVain);
                "timeout"
            }
        };
        metrics::REDIS_ERRORS.add_for([connection, kind], 1);
        Err(Unavailable)
    }

    fn write_refused(&self, error: &RedisError) {
        {
            let mut refused = self.refused.lock();
            if refused.is_some_and(|at| at.elapsed() < REFUSED_AGAIN) {
                return;
            }
            *refused = Some(Instant::now());
        }
        tracing::warn!(%error, "redis takes no writes");
        if error.code() == Some("READONLY") {
            // The address was good when the link was made.
            if let Ok(connection) = connection(&self.client) {
                self.quick.store(Arc::new(connection));
            }
            self.bulk.retain(|_, _| false);
        }
    }
}

/// One that connects when it is first used.
fn connection(client: &Client) -> Result<ConnectionManager, RedisError> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(PATIENCE))
        .set_number_of_retries(0);
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

/// Keys and arguments of one call in [`RedisLink::script_each`].
pub(super) struct ScriptCall {
    pub(super) keys: Vec<String>,
    pub(super) arguments: Vec<String>,
}

/// What a call is counted as, and when it began, where it is timed.
struct Timing {
    connection: &'static str,
    begun: Option<Instant>,
}

impl Timing {
    fn of(connection: &'static str) -> Self {
        Self { connection, begun: Some(Instant::now()) }
    }
}
