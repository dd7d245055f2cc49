//! The writes to one Redis that wait for the same barrier, and the task that sends them in batches.
//!
//! A barrier blocks its connection, so the task has a few; most of the time it needs one. It probes every
//! [`PROBE_EVERY`], or every [`PROBE_AGAIN`] while there is a problem, whether the barrier can be reached. A server that
//! can never reach it gets no writes: nothing is stored that could not be confirmed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{
    StreamExt as _,
    future::{BoxFuture, FutureExt as _},
    stream::FuturesUnordered,
};
use parking_lot::Mutex;
use redis::{ErrorKind, RedisResult, Value};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    barrier::{Barrier, Problem, Verdict},
    batch::{self, Answer, Append, answer_all},
    gate::Gate,
    queue::{Full, Next, Queue},
    state::{Line, State},
};
use crate::{
    metrics,
    redis::{commands::Commands, connector::Connector},
};

const PROBE_EVERY: Duration = Duration::from_secs(5);
const PROBE_AGAIN: Duration = Duration::from_secs(1);
/// How long a probe waits: longer than a sync that happens once a second.
const PROBE_LIMIT: Duration = Duration::from_millis(1_500);
/// Time between two attempts to connect, after a lost connection.
const CONNECT_AGAIN: Duration = Duration::from_millis(100);

/// See the module.
pub(super) struct Lane {
    /// The server's, for logs.
    name: String,
    connector: Arc<Connector>,
    gate: Gate,
    queue: Mutex<Queue<Append>>,
    wake: Notify,
    state: Mutex<State>,
}

/// The end of a batch, or of a probe.
struct Ended {
    /// `None` if it was lost.
    connection: Option<Commands>,
    is_batch: bool,
}

/// The state of the task.
struct Work {
    /// The last one is used first, so that the others stay idle.
    idle: Vec<Commands>,
    busy: FuturesUnordered<BoxFuture<'static, Ended>>,
    /// No connection is made before.
    connect_at: Instant,
    probe_at: Instant,
}

impl Lane {
    pub(super) fn new(name: String, connector: Arc<Connector>, barrier: Barrier) -> Self {
        let (queue, wake, state) = (Mutex::new(Queue::new()), Notify::new(), Mutex::default());
        let gate = Gate::new(Arc::clone(&connector), barrier);
        Self { name, connector, gate, queue, wake, state }
    }

    /// Why the barrier is not reached at present.
    pub(super) fn problem(&self) -> Option<Problem> {
        self.state.lock().problem().cloned()
    }

    /// Runs a call, and waits until what it wrote has passed the barrier.
    pub(super) async fn run(&self, (append, answer): (Append, Answer)) -> RedisResult<Value> {
        if let Some(problem) = self.problem().filter(|problem| problem.lasts) {
            return Err((ErrorKind::Client, problem.reason).into());
        }
        let pushed = self.queue.lock().push(append);
        pushed.map_err(|Full| (ErrorKind::Client, "too many writes wait for a confirmation"))?;
        self.wake.notify_one();
        answer.await.unwrap_or_else(|_| Err((ErrorKind::Client, "the node stops").into()))
    }

    /// Sends batches until `stopping`.
    pub(super) async fn serve(self: Arc<Self>, stopping: CancellationToken) {
        let now = Instant::now();
        let mut work = Work { idle: Vec::new(), busy: FuturesUnordered::new(), connect_at: now, probe_at: now };
        loop {
            let wake_at = self.begin_what_is_due(&mut work, Instant::now());
            tokio::select! {
                () = stopping.cancelled() => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep_until(wake_at.into()) => {}
                Some(ended) = work.busy.next() => self.ended(&mut work, ended),
            }
        }
    }

    /// Begins batches and probes. Returns when to call it again at the latest.
    fn begin_what_is_due(self: &Arc<Self>, work: &mut Work, now: Instant) -> Instant {
        if work.probe_at <= now {
            work.probe_at = now + if self.problem().is_some() { PROBE_AGAIN } else { PROBE_EVERY };
            // A batch is a probe, too.
            if work.busy.is_empty() {
                work.busy.push(Arc::clone(self).probe(work.idle.pop()).boxed());
            }
        }
        loop {
            if work.idle.is_empty() && now < work.connect_at {
                return work.connect_at.min(work.probe_at);
            }
            let next = self.queue.lock().next(now);
            match next {
                Next::Batch(batch) => work.busy.push(Arc::clone(self).batch(work.idle.pop(), batch).boxed()),
                Next::At(due) => return due.min(work.probe_at),
                Next::Idle => return work.probe_at,
            }
        }
    }

    fn ended(&self, work: &mut Work, Ended { connection, is_batch }: Ended) {
        if is_batch {
            self.queue.lock().ended();
        }
        match connection {
            Some(connection) => work.idle.push(connection),
            None => {
                // The others lead to the same server.
                work.idle.clear();
                work.connect_at = Instant::now() + CONNECT_AGAIN;
            }
        }
        if self.problem().is_some() {
            work.probe_at = work.probe_at.min(Instant::now() + PROBE_AGAIN);
        }
    }

    async fn probe(self: Arc<Self>, connection: Option<Commands>) -> Ended {
        let probed = async {
            let mut connection = match connection.filter(|connection| !self.connector.is_outdated(connection)) {
                Some(connection) => connection,
                None => self.connector.commands().await?,
            };
            let verdict = self.gate.wait(&mut connection, PROBE_LIMIT).await?;
            RedisResult::Ok(self.observe(&verdict).then_some(connection))
        };
        Ended { connection: probed.await.ok().flatten(), is_batch: false }
    }

    async fn batch(self: Arc<Self>, connection: Option<Commands>, batch: Vec<Append>) -> Ended {
        Ended { connection: self.send(connection, batch).await, is_batch: true }
    }

    /// Returns the connection if it can be used again.
    async fn send(&self, connection: Option<Commands>, batch: Vec<Append>) -> Option<Commands> {
        let connection = connection.filter(|connection| !self.connector.is_outdated(connection));
        let opened = async {
            if let Some(connection) = connection {
                return Ok((connection, Verdict::Reached));
            }
            let mut connection = self.connector.commands().await?;
            // Before anything is stored.
            let verdict = self.gate.wait(&mut connection, Duration::ZERO).await?;
            RedisResult::Ok((connection, verdict))
        };
        let mut connection = match opened.await {
            Ok((connection, Verdict::Refused(error))) => {
                answer_all(batch, &error);
                return self.observe(&Verdict::Refused(error)).then_some(connection);
            }
            Ok((connection, _)) => connection,
            Err(error) => {
                answer_all(batch, &error);
                return None;
            }
        };
        let begun = Instant::now();
        let verdict = batch::send(&self.gate, &mut connection, batch).await.ok()?;
        metrics::COMMITS.record_for([self.gate.barrier().durability().as_str()], begun.elapsed());
        self.observe(&verdict).then_some(connection)
    }

    /// Records a verdict. False if the connection should be replaced, because it leads to a server that is not a
    /// master any more.
    fn observe(&self, verdict: &Verdict) -> bool {
        let problem = self.gate.barrier().problem(verdict);
        if matches!(verdict, Verdict::Refused(_)) && problem.is_none() {
            return false;
        }
        let (redis, durable) = (&self.name, self.gate.barrier().durability().as_str());
        let line = self.state.lock().set(problem, Instant::now());
        match line {
            Some(Line::Missing(reason)) => {
                tracing::warn!(redis, durable, reason, "redis does not give what rules promise: `unavailable`");
            }
            Some(Line::Given) => tracing::info!(redis, durable, "redis gives what rules promise again"),
            None => {}
        }
        true
    }
}
