//! All servers of a cluster: each call goes to the one that has its partition.
//!
//! Every wait ends after [`TIMEOUT`], or sooner if [`deadline`] leaves less. Scripts are called by SHA; the source is sent
//! to a server that does not know it, and so a call may run later than one that was made after it. A command is never sent
//! again if it may have run. [`many`]: calls of several partitions.

mod many;

use std::{
    future::Future,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use futures_util::future::try_join_all;
use jackfield_shared::lifecycle::Lifecycle;
use redis::{
    Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, Script, ServerErrorKind, ToSingleRedisArg, Value,
    from_redis_value,
};
use tokio::sync::watch;

use crate::{
    TIMEOUT, Unavailable,
    deadline::{self, Wait},
    log::{Durability, Shortfall},
    metrics,
    partition::{Partition, PartitionSet},
    redis::{
        commit::Barrier,
        keys::Keys,
        route::cluster::Cluster,
        routing::Routing,
        script::{Call, Source},
        server::{Server, refusal},
        target::RedisTopology,
    },
};

/// One in this many quick calls is timed: a prime, so that no regular pattern of calls hides some from the sample.
const TIMED: usize = 17;

/// See the module.
pub struct RedisLink {
    routing: watch::Sender<Arc<Routing>>,
    /// The Redis Cluster whose masters the servers are.
    cluster: Option<Arc<Cluster>>,
    /// Quick calls so far.
    calls: AtomicUsize,
    pub(crate) keys: Keys,
}

impl RedisLink {
    /// Does not connect yet.
    #[must_use]
    pub fn new(topology: RedisTopology, prefix: &str, lifecycle: &Lifecycle) -> Self {
        let (calls, keys) = (AtomicUsize::new(0), Keys::new(prefix));
        let targets = match topology {
            RedisTopology::One(target) => vec![target],
            RedisTopology::Several(targets) => targets,
            RedisTopology::Cluster(seeds) => {
                if let Some((cluster, routing)) = Cluster::start(&seeds, &keys, lifecycle) {
                    return Self { routing, cluster: Some(cluster), calls, keys };
                }
                seeds
            }
        };
        let servers = targets.into_iter().map(|target| Arc::new(Server::new(target, &keys, lifecycle))).collect();
        Self { routing: watch::Sender::new(Arc::new(Routing::shared_by(servers))), cluster: None, calls, keys }
    }

    /// Whether the servers are shards of a Redis Cluster.
    pub(crate) fn is_sharded(&self) -> bool {
        self.cluster.is_some()
    }

    /// The servers and their partitions, now and after each change.
    pub(crate) fn routing(&self) -> watch::Receiver<Arc<Routing>> {
        self.routing.subscribe()
    }

    /// Whether the servers are shards of a Redis Cluster.
    pub(crate) fn is_cluster(&self) -> bool {
        self.cluster.is_some()
    }

    /// The partitions that have the leases of nodes.
    pub(crate) fn homes(&self) -> Arc<[Partition]> {
        self.routing.borrow().homes.iter().copied().collect()
    }

    /// The partitions whose leases are in this home.
    pub(crate) fn part_of(&self, home: Partition) -> PartitionSet {
        let routing = self.routing.borrow();
        if routing.homes.len() == 1 { PartitionSet::ALL } else { routing.partitions_of(routing.index(home)) }
    }

    /// The place of this home's server among all, in words.
    pub(crate) fn layout(&self, home: Partition) -> String {
        let routing = self.routing.borrow();
        match routing.homes.len() {
            _ if self.cluster.is_some() => "a Cluster".to_owned(),
            1 => "the only one".to_owned(),
            count => format!("number {} of {count}", routing.index(home) + 1),
        }
    }

    /// The partitions of each server.
    pub(crate) fn parts(&self) -> Vec<PartitionSet> {
        self.routing.borrow().parts().collect()
    }

    /// The server that has the partition now.
    pub(crate) fn server(&self, partition: Partition) -> Arc<Server> {
        Arc::clone(self.routing.borrow().server(partition))
    }

    /// A script as the servers need it.
    pub(crate) fn script<'a>(&self, source: &'a Source) -> &'a Script {
        source.script(self.cluster.is_some())
    }

    /// Begins a call with these keys, which will have this many arguments, with about `bytes` in keys and arguments.
    pub(crate) fn call<'a>(
        &self,
        source: &'a Source,
        keys: &[impl ToSingleRedisArg],
        arguments: usize,
        bytes: usize,
    ) -> Call<'a> {
        let mut call = Call::new(self.script(source), keys.len(), arguments, bytes);
        for key in keys {
            call.arg(key);
        }
        call
    }

    /// This machine's address on the way to Redis.
    pub(crate) async fn local_address(&self) -> Result<IpAddr, Unavailable> {
        let server = self.server(Partition::FIRST);
        let found = tokio::time::timeout(TIMEOUT, server.local_address()).await;
        found.ok().and_then(Result::ok).ok_or(Unavailable)
    }

    /// One command, whose keys are in this partition.
    pub(crate) async fn command<T: FromRedisValue>(
        &self,
        partition: Partition,
        command: &Cmd,
    ) -> Result<T, Unavailable> {
        self.within(self.quick(), async { Ok(from_redis_value(self.ask(partition, command, None).await?)?) }).await
    }

    /// One call of a script, whose keys are in this partition.
    pub(crate) async fn run<T: FromRedisValue>(&self, partition: Partition, call: &Call<'_>) -> Result<T, Unavailable> {
        let answer = async { Ok(from_redis_value(self.ask(partition, &call.command, Some(call.script)).await?)?) };
        self.within(self.quick(), answer).await
    }

    /// One command to each server that has partitions.
    pub(crate) async fn everywhere<T: FromRedisValue>(&self, command: &Cmd) -> Result<Vec<T>, Unavailable> {
        let routing = Arc::clone(&self.routing.borrow());
        let used = (0..routing.servers.len()).filter(|index| !routing.partitions_of(*index).is_empty());
        let asked = used.map(|index| &routing.servers[index]).map(|server| async move {
            let answer = server.send(command).await?.extract_error();
            RedisResult::Ok(from_redis_value(refused_or(server, answer)?)?)
        });
        self.within(self.quick(), try_join_all(asked.collect::<Vec<_>>())).await
    }

    /// One call of a script that writes. Answered once what it wrote, and everything that its server wrote before, has
    /// passed the barrier.
    pub(crate) async fn commit<T: FromRedisValue>(
        &self,
        partition: Partition,
        barrier: Barrier,
        call: Call<'static>,
    ) -> Result<T, Unavailable> {
        let until = Instant::now() + deadline::left(TIMEOUT).ok_or(Unavailable)?;
        let answer = async { Ok(from_redis_value(self.commit_there(partition, barrier, call, until).await?)?) };
        let answer = self.within(Timing::of("commit"), answer).await;
        let outcome = if answer.is_ok() { "reached" } else { "unavailable" };
        metrics::COMMITTED.add_for([barrier.durability().as_str(), outcome], 1);
        answer
    }

    /// Why servers do not give this durability at present, as far as is known. From the first call on, each server is
    /// checked.
    pub(crate) fn shortfalls(&self, durability: Durability) -> Vec<Shortfall> {
        let routing = Arc::clone(&self.routing.borrow());
        let used = (0..routing.servers.len()).filter(|index| !routing.partitions_of(*index).is_empty());
        used.filter_map(|index| routing.servers[index].shortfall(durability)).collect()
    }

    async fn commit_there(
        &self,
        partition: Partition,
        barrier: Barrier,
        call: Call<'static>,
        until: Instant,
    ) -> RedisResult<Value> {
        let Some(cluster) = &self.cluster else {
            return self.server(partition).commit(barrier, call, until, false).await;
        };
        cluster.mapped().await;
        let (mut next, mut attempts) = cluster.attempts(partition);
        loop {
            match next.server.commit(barrier, call.clone(), until, next.is_asking).await {
                Err(error) => next = attempts.after(error).await?,
                answer => return answer,
            }
        }
    }

    async fn ask(&self, partition: Partition, command: &Cmd, script: Option<&Script>) -> RedisResult<Value> {
        if let Some(cluster) = &self.cluster {
            cluster.mapped().await;
        }
        let server = self.server(partition);
        let answer = async || server.send(command).await;
        let answer = match (answer().await, script) {
            (Err(error), Some(script)) if is_unknown_script(&error) => {
                server.load(script).await?;
                answer().await
            }
            (answer, _) => answer,
        };
        match answer {
            Err(error) => self.follow(partition, command, script, error).await,
            answer => answer,
        }
    }

    /// The answer to a command that a server answered with this error: on a Redis Cluster another server may have it. The
    /// caller limits the time.
    pub(crate) async fn follow(
        &self,
        partition: Partition,
        command: &Cmd,
        script: Option<&Script>,
        error: RedisError,
    ) -> RedisResult<Value> {
        match &self.cluster {
            Some(cluster) => cluster.follow(partition, command, script, error).await,
            None => Err(error),
        }
    }

    /// Something that another task sends to a server: waits like for a quick call.
    pub(crate) async fn sent_elsewhere<T>(&self, wait: impl Future<Output = RedisResult<T>>) -> Result<T, Unavailable> {
        self.within(self.quick(), wait).await
    }

    /// Counts a quick call, and starts timing it if it is one in [`TIMED`].
    fn quick(&self) -> Timing {
        let timed = self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(TIMED);
        Timing { connection: "quick", begun: timed.then(Instant::now) }
    }

    /// The answer, or [`Unavailable`] on an error or after the time that is left.
    async fn within<T>(
        &self,
        Timing { connection, begun }: Timing,
        wait: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, Unavailable> {
        let limit = deadline::left(TIMEOUT).ok_or(Unavailable)?;
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
                kind_of(&error)
            }
            Err(_) => {
                deadline::ended(Wait::TimedOut);
                "timeout"
            }
        };
        metrics::REDIS_ERRORS.add_for([connection, kind], 1);
        Err(Unavailable)
    }
}

fn refused_or(server: &Server, answer: RedisResult<Value>) -> RedisResult<Value> {
    answer.inspect_err(|error| server.refused(error))
}

/// Whether the server did not run a script because it does not know it.
pub(crate) fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// The label of an error in metrics.
fn kind_of(error: &RedisError) -> &'static str {
    match refusal(error) {
        Some(_) => "refused",
        None if error.is_timeout() => "timeout",
        None => "error",
    }
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
