//! The writes to one Redis that wait for the same barrier, and the task that sends them in batches.
//!
//! A barrier blocks its connection, so the task has a few; most of the time it needs one. It probes every [`PROBE_EVERY`], or every [`PROBE_AGAIN`] while there is a problem, whether the barrier can be reached.

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
use redis::{
    Arg, Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Script, ServerErrorKind, Value,
    aio::{ConnectionLike as _, MultiplexedConnection},
};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    barrier::{Barrier, Problem, Verdict},
    queue::{Full, Next, Queue, Write},
    state::{Line, State},
};
use crate::{metrics, redis::connector::Connector};

type Connection = MultiplexedConnection;

const PROBE_EVERY: Duration = Duration::from_secs(5);
const PROBE_AGAIN: Duration = Duration::from_secs(1);
/// How long a probe waits: longer than a sync that happens once a second.
const PROBE_LIMIT: Duration = Duration::from_millis(1_500);
/// Time between two attempts to connect, after a lost connection.
const CONNECT_AGAIN: Duration = Duration::from_millis(100);
/// A barrier ends so long before the callers stop waiting, and before the connection would be given up.
const MARGIN: Duration = Duration::from_millis(200);

/// See the module.
pub(super) struct Lane {
    connector: Arc<Connector>,
    barrier: Barrier,
    queue: Mutex<Queue<Append>>,
    wake: Notify,
    state: Mutex<State>,
}

/// A script's call that waits for its batch.
pub(super) struct Append {
    call: Cmd,
    script: &'static Script,
    bytes: usize,
    /// The end of the caller's wait.
    until: Instant,
    done: oneshot::Sender<RedisResult<Value>>,
}

impl Write for Append {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn is_wanted(&self) -> bool {
        !self.done.is_closed()
    }
}

/// The end of a batch, or of a probe.
struct Ended {
    /// `None` if it was lost.
    connection: Option<Connection>,
    is_batch: bool,
}

impl Lane {
    pub(super) fn new(connector: Arc<Connector>, barrier: Barrier) -> Self {
        let (queue, wake, state) = (Mutex::new(Queue::new()), Notify::new(), Mutex::default());
        Self { connector, barrier, queue, wake, state }
    }

    /// Why the barrier is not reached at present.
    pub(super) fn problem(&self) -> Option<Problem> {
        self.state.lock().problem().cloned()
    }

    /// Runs a script, and waits until what it wrote has passed the barrier. The caller stops waiting at `until`.
    pub(super) async fn run(&self, script: &'static Script, call: Cmd, until: Instant) -> RedisResult<Value> {
        if let Some(problem) = self.problem().filter(|problem| problem.lasts) {
            // Nothing is stored that could not be confirmed.
            return Err((ErrorKind::Client, problem.reason).into());
        }
        let (done, answer) = oneshot::channel();
        let bytes = size_of::<Append>() + bytes_of(&call);
        self.queue.lock().push(Append { call, script, bytes, until, done }).map_err(|Full| full())?;
        self.wake.notify_one();
        answer.await.unwrap_or_else(|_| Err((ErrorKind::Client, "the node stops").into()))
    }

    /// Sends batches until `stopping`.
    pub(super) async fn serve(self: Arc<Self>, stopping: CancellationToken) {
        // The last one is used first, so that the others stay idle.
        let mut idle: Vec<Connection> = Vec::new();
        let mut busy: FuturesUnordered<BoxFuture<'static, Ended>> = FuturesUnordered::new();
        let (mut connect_at, mut probe_at) = (Instant::now(), Instant::now());
        loop {
            let now = Instant::now();
            let mut wake_at = probe_at;
            loop {
                if idle.is_empty() && now < connect_at {
                    wake_at = wake_at.min(connect_at);
                    break;
                }
                let next = self.queue.lock().next(now);
                match next {
                    Next::Batch(batch) => busy.push(Arc::clone(&self).batch(idle.pop(), batch).boxed()),
                    Next::At(due) => {
                        wake_at = wake_at.min(due);
                        break;
                    }
                    Next::Idle => break,
                }
            }
            if probe_at <= now {
                // Until the next one is due, this one has ended.
                probe_at = now + if self.problem().is_some() { PROBE_AGAIN } else { PROBE_EVERY };
                if busy.is_empty() {
                    busy.push(Arc::clone(&self).probe(idle.pop()).boxed());
                }
                continue;
            }
            tokio::select! {
                () = stopping.cancelled() => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep_until(wake_at.into()) => {}
                Some(Ended { connection, is_batch }) = busy.next() => {
                    if is_batch {
                        self.queue.lock().ended();
                    }
                    match connection {
                        Some(connection) => idle.push(connection),
                        None => {
                            // The others lead to the same server.
                            idle.clear();
                            connect_at = Instant::now() + CONNECT_AGAIN;
                        }
                    }
                    if self.problem().is_some() {
                        probe_at = probe_at.min(Instant::now() + PROBE_AGAIN);
                    }
                }
            }
        }
    }

    async fn probe(self: Arc<Self>, connection: Option<Connection>) -> Ended {
        let probed = async {
            let mut connection = self.connected(connection).await?;
            let verdict = self.verdict(&mut connection, PROBE_LIMIT).await?;
            RedisResult::Ok(self.observe(&verdict).then_some(connection))
        };
        Ended { connection: probed.await.ok().flatten(), is_batch: false }
    }

    async fn batch(self: Arc<Self>, connection: Option<Connection>, batch: Vec<Append>) -> Ended {
        let is_new = connection.is_none();
        let connection = match self.connected(connection).await {
            Ok(connection) => connection,
            Err(error) => {
                answer_all(batch, &error);
                return Ended { connection: None, is_batch: true };
            }
        };
        let connection = if is_new { self.first(connection, batch).await } else { self.send(connection, batch).await };
        Ended { connection, is_batch: true }
    }

    /// The first batch on a connection: finds out, before anything is stored, whether the server knows the barrier.
    async fn first(&self, mut connection: Connection, batch: Vec<Append>) -> Option<Connection> {
        let verdict = self.verdict(&mut connection, Duration::ZERO).await;
        match verdict {
            Ok(Verdict::Refused(error)) => {
                answer_all(batch, &error);
                self.observe(&Verdict::Refused(error)).then_some(connection)
            }
            Ok(_) => self.send(connection, batch).await,
            Err(error) => {
                answer_all(batch, &error);
                None
            }
        }
    }

    /// Sends a batch with its barrier, and answers its callers. A script that Redis does not know is loaded and sent
    /// again. Returns the connection if it can be used again.
    async fn send(&self, mut connection: Connection, batch: Vec<Append>) -> Option<Connection> {
        let begun = Instant::now();
        let mut batch = batch;
        let mut is_repetition = false;
        let verdict = loop {
            let until = batch.iter().map(|append| append.until).max().unwrap_or(begun);
            let mut pipeline = Pipeline::with_capacity(batch.len() + 1);
            let mut callers = Vec::with_capacity(batch.len());
            for Append { call, script, bytes, until, done } in batch {
                pipeline.add_command(call);
                callers.push((script, bytes, until, done));
            }
            let limit = until.saturating_duration_since(Instant::now()).saturating_sub(MARGIN);
            pipeline.add_command(self.barrier.command(limit));
            let mut answers = match connection.req_packed_commands(&pipeline, 0, pipeline.len()).await {
                Ok(answers) => answers,
                Err(error) => {
                    for (.., done) in callers {
                        // A caller that has stopped waiting needs no answer.
                        let _ = done.send(Err(error.clone()));
                    }
                    return None;
                }
            };
            let verdict = self.barrier.verdict(answers.pop().unwrap_or(Value::Nil));
            let mut unknown = Vec::new();
            for ((answer, call), (script, bytes, until, done)) in
                answers.into_iter().zip(pipeline.cmd_iter()).zip(callers)
            {
                if !is_repetition && is_unknown_script(&answer) {
                    unknown.push(Append { call: call.clone(), script, bytes, until, done });
                    continue;
                }
                let _ = done.send(confirmed(answer, &verdict));
            }
            if unknown.is_empty() {
                break verdict;
            }
            let loaded = load(&mut connection, &unknown).await;
            if let Err(error) = loaded {
                answer_all(unknown, &error);
                return None;
            }
            (batch, is_repetition) = (unknown, true);
        };
        metrics::COMMITS.record_for([self.barrier.durability().as_str()], begun.elapsed());
        self.observe(&verdict).then_some(connection)
    }

    /// The connection, or a new one.
    async fn connected(&self, connection: Option<Connection>) -> RedisResult<Connection> {
        match connection {
            Some(connection) => Ok(connection),
            None => self.connector.commands().await,
        }
    }

    /// Waits for what the connection has written.
    async fn verdict(&self, connection: &mut Connection, limit: Duration) -> RedisResult<Verdict> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.add_command(self.barrier.command(limit));
        let answer = connection.req_packed_commands(&pipeline, 0, 1).await?.pop();
        Ok(self.barrier.verdict(answer.unwrap_or(Value::Nil)))
    }

    /// Records a verdict. False if the connection should be replaced, because it leads to a server that is not a
    /// master any more.
    fn observe(&self, verdict: &Verdict) -> bool {
        let problem = self.barrier.problem(verdict);
        if matches!(verdict, Verdict::Refused(_)) && problem.is_none() {
            return false;
        }
        let durable = self.barrier.durability().as_str();
        match self.state.lock().set(problem, Instant::now()) {
            Some(Line::Missing(reason)) => {
                tracing::warn!(
                    redis = %self.connector.name(), durable, reason,
                    "redis does not give what rules promise: their messages are answered `unavailable`"
                );
            }
            Some(Line::Given) => {
                tracing::info!(redis = %self.connector.name(), durable, "redis gives what rules promise again");
            }
            None => {}
        }
        true
    }
}

/// The answer of a call, if the barrier was passed; a call that failed has its own error.
fn confirmed(answer: Value, verdict: &Verdict) -> RedisResult<Value> {
    match (answer, verdict) {
        (Value::ServerError(error), _) => Err(error.into()),
        (answer, Verdict::Reached) => Ok(answer),
        (_, Verdict::NotReached) => Err(not_reached()),
        (_, Verdict::Refused(error)) => Err(error.clone()),
    }
}

/// What a call takes in memory, about.
fn bytes_of(call: &Cmd) -> usize {
    call.args_iter()
        .map(|argument| match argument {
            Arg::Simple(bytes) => bytes.len() + size_of::<Arg<usize>>(),
            _ => 0,
        })
        .sum()
}

fn is_unknown_script(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.kind() == Some(ServerErrorKind::NoScript))
}

async fn load(connection: &mut Connection, appends: &[Append]) -> RedisResult<()> {
    let mut loaded: Vec<&str> = Vec::new();
    for Append { script, .. } in appends {
        if !loaded.contains(&script.get_hash()) {
            script.load_async(connection).await?;
            loaded.push(script.get_hash());
        }
    }
    Ok(())
}

fn answer_all(batch: Vec<Append>, error: &RedisError) {
    for Append { done, .. } in batch {
        // A caller that has stopped waiting needs no answer.
        let _ = done.send(Err(error.clone()));
    }
}

fn full() -> RedisError {
    (ErrorKind::Client, "too many writes wait for a confirmation").into()
}

fn not_reached() -> RedisError {
    (ErrorKind::Client, "stored, but not confirmed in time").into()
}
