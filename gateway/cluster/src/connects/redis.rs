//! [`crate::connects`] over Redis: one script per connect. The connects to one server in one turn of the runtime share a
//! round trip, at most [`BATCH`], the oldest first. At most [`IN_FLIGHT`] round trips to a server are under way; connects
//! that arrive meanwhile wait, at most [`WAITING`] for each server. A server that does not answer delays no other one's.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{Arc, LazyLock},
    time::Duration,
};

use futures_util::{
    FutureExt as _,
    future::join_all,
    stream::{FuturesUnordered, StreamExt as _},
};
use jackfield_shared::{lifecycle::Lifecycle, time::now_rfc3339};
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Value, from_redis_value};
use tokio::sync::{mpsc, oneshot};

use crate::{
    TIMEOUT, Unavailable,
    connects::{Connected, Granted},
    facts::{FactTerms, Kind, Kinds, outbox::Outbox},
    ids::{Incarnation, SessionRef},
    inbox::Keep,
    log::Position,
    partition::Partition,
    presence::Stay,
    recovery::{Wish, redis::record_of},
    redis::{
        link::{RedisLink, is_unknown_script},
        script::{self, Source, script},
        server::Server,
        streams::Streams,
    },
    sessions::{OnConflict, Policy},
};

static CONNECT: LazyLock<Source> = script!(
    "../redis/term.lua",
    "../log/common.lua",
    "../sessions/common.lua",
    "../user_log/common.lua",
    "../inbox/common.lua",
    "../recovery/common.lua",
    "../facts/common.lua",
    "../sessions/facts.lua",
    "connect.lua",
);

/// Connects in one round trip.
const BATCH: usize = 64;
/// Round trips to one server at a time.
const IN_FLIGHT: usize = 4;
/// Connects that may wait, for all servers and for each; each has a few hundred bytes.
const WAITING: usize = 16_384;

/// See the module.
#[derive(Clone)]
pub struct RedisConnects {
    link: Arc<RedisLink>,
    streams: Streams,
    waiting: mpsc::Sender<Call>,
}

/// A connect that waits for its answer.
struct Call {
    session: SessionRef,
    by: Incarnation,
    policy: Policy,
    dead: Vec<Incarnation>,
    wish: Option<Wish>,
    partition: Partition,
    /// The position in the log of a user without one.
    empty: Position,
    answer: oneshot::Sender<RedisResult<Connected>>,
}

/// The connects that wait for one server.
struct Lane {
    server: Arc<Server>,
    waiting: VecDeque<Call>,
    /// Round trips under way.
    in_flight: usize,
}

/// Sends the connects.
struct Batches {
    link: Arc<RedisLink>,
    /// Arguments that are the same for all connects.
    keep_max: String,
    keep_age: String,
    log_kept_for: String,
    outbox: Outbox,
}

impl RedisConnects {
    pub(crate) fn start(
        link: Arc<RedisLink>,
        streams: Streams,
        keep: Keep,
        log_kept_for: Duration,
        facts: &FactTerms,
        lifecycle: &Lifecycle,
    ) -> Self {
        let (waiting, queue) = mpsc::channel(WAITING);
        let batches = Batches {
            keep_max: keep.max.to_string(),
            keep_age: keep.age.as_millis().to_string(),
            log_kept_for: log_kept_for.as_millis().to_string(),
            outbox: Outbox::new(facts, Kinds::of([Kind::SessionStarted, Kind::SessionEnded, Kind::UserOnline])),
            link: Arc::clone(&link),
        };
        let stopping = lifecycle.stopping();
        lifecycle.spawn(async move { stopping.run_until_cancelled(batches.run(queue)).await });
        Self { link, streams, waiting }
    }

    pub(crate) async fn connect(
        &self,
        session: &SessionRef,
        by: &Incarnation,
        policy: Policy,
        dead: &[Incarnation],
        wish: Option<&Wish>,
    ) -> Result<Connected, Unavailable> {
        let (answer, answered) = oneshot::channel();
        let partition = Partition::of(&session.user);
        let empty = self.streams.empty(partition).await?;
        let (session, by, dead, wish) = (session.clone(), by.clone(), dead.to_vec(), wish.cloned());
        let call = Call { session, by, policy, dead, wish, partition, empty, answer };
        self.waiting.try_send(call).map_err(|_| Unavailable)?;
        self.link.sent_elsewhere(async { answered.await.unwrap_or_else(|_| Err(stopped())) }).await
    }
}

impl Batches {
    async fn run(self, mut queue: mpsc::Receiver<Call>) {
        let mut calls = Vec::with_capacity(BATCH);
        let mut lanes: HashMap<usize, Lane> = HashMap::new();
        let mut in_flight = FuturesUnordered::new();
        loop {
            tokio::select! {
                count = queue.recv_many(&mut calls, BATCH) => {
                    if count == 0 {
                        return;
                    }
                    for call in calls.drain(..) {
                        let server = self.link.server(call.partition);
                        let lane = lanes.entry(Arc::as_ptr(&server).addr()).or_insert_with(|| Lane::new(server));
                        lane.push(call);
                    }
                }
                Some(server) = in_flight.next() => {
                    if let Some(lane) = lanes.get_mut(&server) {
                        lane.in_flight -= 1;
                    }
                }
            }
            for (server, lane) in &mut lanes {
                while let Some(batch) = lane.next() {
                    let (server, to) = (*server, Arc::clone(&lane.server));
                    in_flight.push(self.answer(to, batch).map(move |()| server));
                }
            }
            lanes.retain(|_, lane| lane.in_flight > 0);
        }
    }

    async fn answer(&self, server: Arc<Server>, mut calls: Vec<Call>) {
        // A caller that has given up has released the session already.
        calls.retain(|call| !call.answer.is_closed());
        let mut unknown = self.send(&server, &mut calls).await;
        if !unknown.is_empty() {
            // Redis did not know the script, and ran none of these.
            match server.load(self.link.script(&CONNECT)).await {
                Ok(()) => fail(self.send(&server, &mut unknown).await.into_iter(), &stopped()),
                Err(error) => fail(unknown.into_iter(), &error),
            }
        }
    }

    /// Sends the connects and answers them. Returns those for which Redis did not know the script.
    async fn send(&self, server: &Server, calls: &mut Vec<Call>) -> Vec<Call> {
        if calls.is_empty() {
            return Vec::new();
        }
        let mut answers = match server.send_all(&self.pipeline(calls)).await {
            Ok(answers) => answers.into_iter(),
            Err(error) => {
                fail(calls.drain(..), &error);
                return Vec::new();
            }
        };
        let (mut unknown, mut redirected) = (Vec::new(), Vec::new());
        for call in calls.drain(..) {
            match answers.next().unwrap_or(Value::Nil).extract_error() {
                Err(error) if is_unknown_script(&error) => unknown.push(call),
                Err(error) => redirected.push((call, error)),
                answer => give(server, call, answer),
            }
        }
        join_all(redirected.into_iter().map(async |(call, error)| {
            let command = self.script(&call, &now_rfc3339());
            let answer = self.link.follow(call.partition, &command, Some(self.link.script(&CONNECT)), error);
            let answer = tokio::time::timeout(TIMEOUT, answer).await.unwrap_or_else(|_| Err(stopped()));
            give(server, call, answer);
        }))
        .await;
        unknown
    }

    fn pipeline(&self, calls: &[Call]) -> Pipeline {
        let mut pipeline = Pipeline::with_capacity(calls.len());
        let at = now_rfc3339();
        for call in calls {
            pipeline.add_command(self.script(call, &at));
        }
        pipeline
    }

    fn script(&self, call: &Call, at: &str) -> Cmd {
        let Call { session: stay @ SessionRef { user, session }, by, policy, dead, wish, partition, .. } = call;
        let (keys, partition) = (&self.link.keys, *partition);
        let (of_user, records) = (keys.connect(user), keys.records(user));
        let facts = self.outbox.of(keys, partition);
        let (settings, fact_keys) = facts.as_ref().map_or(("", &[][..]), |(settings, keys)| (*settings, &keys[..]));
        let of_records: Vec<String> = wish
            .iter()
            .flat_map(|wish| [Some(wish.new), wish.resume])
            .flatten()
            .map(|record| format!("{records}{record}"))
            .collect();
        let count = of_user.len() + 1 + fact_keys.len() + of_records.len();
        let mut command = script::Call::new(self.link.script(&CONNECT), count, 22 + dead.len(), 1_600).command;
        command.arg(&of_user[..]).arg(keys.index(partition, by)).arg(fact_keys).arg(of_records);
        command
            .arg(keys.node_channels(partition))
            .arg(&self.keep_max)
            .arg(&self.keep_age)
            .arg(at)
            .arg(&self.log_kept_for);
        command.arg(session.as_str()).arg(by.as_str()).arg(policy.limit);
        command.arg(match policy.on_conflict {
            OnConflict::Evict => "evict",
            OnConflict::Reject => "reject",
        });
        command.arg(keys.presence(partition)).arg(&**user).arg(records);
        match wish {
            Some(Wish { new, resume, namespace, socket, token }) => {
                let resume = resume.map(|record| record.to_string()).unwrap_or_default();
                command
                    .arg(new.to_string())
                    .arg(resume)
                    .arg(&**namespace)
                    .arg(socket.to_string())
                    .arg(token.to_string());
            }
            None => drop(command.arg("").arg("").arg("").arg("").arg("")),
        }
        command.arg(settings).arg(Stay::online(stay).to_string());
        for incarnation in dead {
            command.arg(incarnation.as_str());
        }
        command
    }
}

/// Answers a call.
fn give(server: &Server, call: Call, answer: RedisResult<Value>) {
    let connected = answer.and_then(|answer| connected(answer, call.empty));
    // A caller that has given up needs no answer.
    let _ = call.answer.send(connected.inspect_err(|error| server.refused(error)));
}

impl Lane {
    fn new(server: Arc<Server>) -> Self {
        Self { server, waiting: VecDeque::new(), in_flight: 0 }
    }

    fn push(&mut self, call: Call) {
        if self.waiting.len() < WAITING {
            self.waiting.push_back(call);
        } else {
            fail(std::iter::once(call), &io::Error::from(io::ErrorKind::WouldBlock).into());
        }
    }

    /// The next connects to send, if any may be sent now.
    fn next(&mut self) -> Option<Vec<Call>> {
        if self.waiting.is_empty() || self.in_flight >= IN_FLIGHT {
            return None;
        }
        self.in_flight += 1;
        Some(self.waiting.drain(..self.waiting.len().min(BATCH)).collect())
    }
}

fn fail(calls: impl Iterator<Item = Call>, error: &RedisError) {
    for call in calls {
        // A caller that has given up needs no answer.
        let _ = call.answer.send(Err(error.clone()));
    }
}

fn connected(answer: Value, empty: Position) -> RedisResult<Connected> {
    let mut parts = match answer {
        Value::Array(parts) => parts.into_iter(),
        other => return Err(unexpected(&other)),
    };
    match parts.next() {
        Some(Value::Int(1)) => {
            let mut next = || from_redis_value::<u64>(parts.next().unwrap_or(Value::Nil));
            let (generation, unread, arrived) = (next()?, next()?, next()?);
            let arrived = i64::try_from(arrived).ok().filter(|at| *at > 0);
            let end = Streams::end(next()?, next()?, empty);
            let record = record_of(from_redis_value(parts.next().unwrap_or(Value::Nil))?)?;
            Ok(Connected::Granted(Granted { generation, unread, arrived, end, record }))
        }
        Some(Value::Int(0)) => {
            let holders = parts.map(from_redis_value::<String>).collect::<Result<Vec<_>, _>>()?;
            Ok(Connected::Refused { holders: holders.iter().map(|holder| holder.as_str().into()).collect() })
        }
        other => Err(unexpected(&other.unwrap_or(Value::Nil))),
    }
}

/// The node stops, or Redis lost the script again at once.
fn stopped() -> RedisError {
    RedisError::from((ErrorKind::Client, "not sent"))
}

fn unexpected(answer: &Value) -> RedisError {
    RedisError::from((ErrorKind::UnexpectedReturnType, "connect.lua", format!("{answer:?}")))
}
