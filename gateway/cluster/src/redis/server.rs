//! This node's connections to one Redis that takes writes.
//!
//! - `quick`: one [`SharedConnection`]. Concurrent calls share round trips, and Redis runs them in the order of
//!   sending.
//! - `bulk`: a small pool, for passes over thousands of entries, so that no client's message waits behind them.
//! - `commits`: for writes that a replica or the disk must have, see [`super::commit`].
//!
//! A Redis that refuses writes (memory full, disk full, a replica), or refuses this user's commands, is a failure like one
//! that is down; the log has the reason. If Redis refuses writes, scripts stay all or nothing: Redis refuses a script's
//! first write, or none. A permission that the user lacks can stop a script halfway. A master that became a replica keeps
//! its connections, while its address may lead to the new master: so `READONLY` replaces the quick connection and the
//! idle bulk connections.
//!
//! Waits are limited by the callers, and by the connections' own timeouts.

use std::{
    io,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use deadpool::managed::PoolError;
use jackfield_shared::lifecycle::Lifecycle;
use parking_lot::Mutex;
use redis::{Cmd, Pipeline, RedisError, RedisResult, Script, Value, aio::ConnectionLike as _};
use tokio::sync::{Notify, watch};

use crate::{
    log::{Durability, Shortfall},
    redis::{
        commit::{Barrier, Commits},
        connector::Connector,
        counted::Counted,
        keys::Keys,
        pool::{Pool, pool},
        script::Call,
        shared::SharedConnection,
        stream::Stream,
        target::RedisTarget,
    },
};

const BULK_CONNECTIONS: usize = 2;
/// Error codes of a Redis that refuses writes.
const NO_WRITES: [&str; 4] = ["OOM", "MISCONF", "READONLY", "NOREPLICAS"];
/// Error codes of a Redis that requires a login, or a user with more permissions.
const NO_PERMISSION: [&str; 3] = ["NOAUTH", "NOPERM", "WRONGPASS"];
/// In a script the code is ERR, and the text contains the first of these up to Redis 7.0, the second from 7.2 on.
const NO_PERMISSION_IN_SCRIPT: [&str; 2] = ["user executing the script can't", "ACL failure in script"];
/// Time between two log lines about refused commands, and between two reconnects because of them.
const REFUSED_AGAIN: Duration = Duration::from_secs(5);

/// See the module.
pub(crate) struct Server {
    /// Its address, or the name of the master, for logs, metrics and reports.
    pub(crate) name: String,
    connector: Arc<Connector>,
    quick: SharedConnection,
    bulk: Pool,
    commits: Commits,
    /// When a refused command was last logged, and led to a reconnect if necessary.
    refused: Mutex<Option<Instant>>,
    counted: Counted,
    /// To be notified if the partitions of the servers may have changed; of a Redis Cluster only.
    moved: Option<Arc<Notify>>,
}

impl Server {
    /// Does not connect yet.
    pub(crate) fn new(target: RedisTarget, keys: &Keys, lifecycle: &Lifecycle) -> Self {
        let name = target.name();
        let connector = Connector::start(target, keys, lifecycle);
        Self {
            quick: SharedConnection::new(Arc::clone(&connector), lifecycle),
            bulk: pool(&connector, BULK_CONNECTIONS),
            commits: Commits::new(name.clone(), Arc::clone(&connector), lifecycle),
            connector,
            refused: Mutex::new(None),
            counted: Counted::of(&name),
            name,
            moved: None,
        }
    }

    /// A node of a Redis Cluster. `moved` is notified if it may have lost partitions.
    pub(crate) fn of_cluster(target: RedisTarget, keys: &Keys, moved: Arc<Notify>, lifecycle: &Lifecycle) -> Self {
        Self { moved: Some(moved), ..Self::new(target, keys, lifecycle) }
    }

    /// Abandons all connections: the server may have become a master, in another [term](super::term).
    pub(crate) fn renew(&self) {
        self.connector.renew();
    }

    /// Something says that it may have lost partitions: the way to them is looked for.
    pub(crate) fn may_have_moved(&self) {
        if let Some(moved) = &self.moved {
            moved.notify_one();
        }
    }

    /// The host at which it is reached; empty for a master that sentinels keep.
    pub(crate) fn host(&self) -> &str {
        self.connector.target().host()
    }

    /// A connection of its own, for subscriptions: it speaks RESP3, and is logged in. It must be dropped when
    /// [`Server::generation`] differs from the number that comes with it.
    pub(crate) async fn subscriptions(&self) -> RedisResult<(Stream, u64)> {
        self.connector.resp3().await
    }

    /// The number of the connections' generation, now and after each change: then the server may be another one.
    pub(crate) fn generation(&self) -> watch::Receiver<u64> {
        self.connector.generation()
    }

    /// This machine's address on the way to Redis.
    pub(crate) async fn local_address(&self) -> io::Result<IpAddr> {
        self.connector.local_address().await
    }

    /// One command.
    pub(crate) async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        self.noticed(async { self.quick.clone().req_packed_command(command).await.and_then(Value::extract_error) })
            .await
    }

    /// Several commands in one write. Returns each command's answer, or a [`Value`] that is its error.
    pub(crate) async fn send_all(&self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        self.noticed(async { self.quick.clone().req_packed_commands(pipeline, 0, pipeline.len()).await }).await
    }

    /// Like [`Server::send_all`], over a connection of the pool.
    pub(crate) async fn send_bulk(&self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        let answers = async {
            let mut connection = self.bulk.get().await.map_err(|error| match error {
                PoolError::Backend(error) => error,
                PoolError::Timeout(_) => io::Error::from(io::ErrorKind::TimedOut).into(),
                other => io::Error::other(other.to_string()).into(),
            })?;
            connection.req_packed_commands(pipeline, 0, pipeline.len()).await
        };
        self.noticed(answers).await
    }

    /// Runs a script that writes, and answers once what it wrote has passed the barrier: see [`Commits`].
    pub(crate) async fn commit(
        &self,
        barrier: Barrier,
        call: Call<'static>,
        until: Instant,
        is_asking: bool,
    ) -> RedisResult<Value> {
        self.noticed(self.commits.run(barrier, call, until, is_asking)).await
    }

    /// Why this server does not give a durability at present; see [`Commits::shortfall`].
    pub(crate) fn shortfall(&self, durability: Durability) -> Option<Shortfall> {
        self.commits.shortfall(durability)
    }

    /// Sends a script's source.
    pub(crate) async fn load(&self, script: &Script) -> RedisResult<()> {
        self.noticed(async { script.load_async(&mut self.quick.clone()).await.map(drop) }).await
    }

    async fn noticed<T>(&self, answer: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
        let counting = self.counted.begin();
        let answer = answer.await;
        counting.end(answer.as_ref().is_err_and(|error| error.is_io_error() || refusal(error).is_some()));
        if let Err(error) = &answer {
            if error.is_io_error() {
                self.may_have_moved();
            }
            self.refused(error);
        }
        answer
    }

    /// Logs an error by which Redis refuses a command, and reconnects on READONLY, both at most every
    /// [`REFUSED_AGAIN`]. Does nothing for any other error.
    pub(crate) fn refused(&self, error: &RedisError) {
        let Some(problem) = refusal(error) else { return };
        {
            let mut refused = self.refused.lock();
            if refused.is_some_and(|at| at.elapsed() < REFUSED_AGAIN) {
                return;
            }
            *refused = Some(Instant::now());
        }
        tracing::warn!(redis = self.name, %error, "{problem}");
        if error.code() == Some("READONLY") {
            self.connector.renew();
        }
    }
}

/// Why Redis refuses a command, in words; `None` for any other error.
pub(crate) fn refusal(error: &RedisError) -> Option<&'static str> {
    let code = error.code().unwrap_or_default();
    if NO_WRITES.contains(&code) {
        Some("redis refuses writes: check its memory, disk and role")
    } else if NO_PERMISSION.contains(&code) || may_not_in_script(error) {
        Some("redis refuses commands of this user: see its ACL")
    } else {
        None
    }
}

fn may_not_in_script(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| NO_PERMISSION_IN_SCRIPT.iter().any(|words| detail.contains(words)))
}
