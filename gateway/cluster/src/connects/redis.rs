//! [`crate::connects`] over Redis: one script per connect. The connects of one turn of the runtime share a round trip, at
//! most [`BATCH`], the oldest first. At most [`IN_FLIGHT`] round trips are under way; connects that arrive meanwhile wait.
//!
//! The entries in the incarnation's index are the only keys that are not the user's. They are added in the same write,
//! before the scripts.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use jackfield_shared::{lifecycle::Lifecycle, time::now_rfc3339};
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Script, ServerErrorKind, Value, from_redis_value};
use tokio::sync::{mpsc, oneshot};

use crate::{
    Unavailable,
    bus::Channel,
    connects::{Connected, Granted},
    facts::{FactTerms, Kind, Kinds, outbox::Outbox},
    ids::{Incarnation, SessionRef},
    inbox::Keep,
    log::Position,
    presence::Stay,
    recovery::{Wish, redis::record_of},
    redis::{link::RedisLink, streams::Streams},
    sessions::{OnConflict, Policy},
};

static CONNECT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("../log/common.lua"),
        include_str!("../sessions/common.lua"),
        include_str!("../user_log/common.lua"),
        include_str!("../inbox/common.lua"),
        include_str!("../recovery/common.lua"),
        include_str!("../facts/common.lua"),
        include_str!("../sessions/facts.lua"),
        include_str!("connect.lua")
    ))
});

/// Connects in one round trip.
const BATCH: usize = 64;
/// Round trips at a time.
const IN_FLIGHT: usize = 4;
/// Connects that may wait; each has a few hundred bytes.
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
    /// The position in the log of a user without one.
    empty: Position,
    answer: oneshot::Sender<RedisResult<Connected>>,
}

/// Sends the connects.
struct Batches {
    link: Arc<RedisLink>,
    /// Arguments that are the same for all connects.
    node_channels: String,
    presence_channel: String,
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
            node_channels: link.keys.node_channels(),
            presence_channel: link.keys.channel(&Channel::Presence),
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
        let empty = self.streams.empty().await?;
        let (session, by, dead, wish) = (session.clone(), by.clone(), dead.to_vec(), wish.cloned());
        let call = Call { session, by, policy, dead, wish, empty, answer };
        self.waiting.try_send(call).map_err(|_| Unavailable)?;
        self.link.sent_elsewhere(async { answered.await.unwrap_or_else(|_| Err(stopped())) }).await
    }
}

impl Batches {
    async fn run(self, mut queue: mpsc::Receiver<Call>) {
        let mut calls = Vec::with_capacity(BATCH);
        let mut in_flight = FuturesUnordered::new();
        loop {
            tokio::select! {
                count = queue.recv_many(&mut calls, BATCH), if in_flight.len() < IN_FLIGHT => {
                    if count == 0 {
                        return;
                    }
                    in_flight.push(self.answer(std::mem::take(&mut calls)));
                }
                Some(()) = in_flight.next() => {}
            }
        }
    }

    async fn answer(&self, mut calls: Vec<Call>) {
        // A caller that has given up has released the session already.
        calls.retain(|call| !call.answer.is_closed());
        let mut unknown = self.send(&mut calls).await;
        if !unknown.is_empty() {
            // Redis did not know the script, and ran none of these.
            match self.link.load(&CONNECT).await {
                Ok(()) => fail(self.send(&mut unknown).await.into_iter(), &stopped()),
                Err(error) => fail(unknown.into_iter(), &error),
            }
        }
    }

    /// Sends the connects and answers them. Returns those for which Redis did not know the script.
    async fn send(&self, calls: &mut Vec<Call>) -> Vec<Call> {
        if calls.is_empty() {
            return Vec::new();
        }
        let answers = self.link.raw(&self.pipeline(calls)).await;
        let mut answers = match answers {
            Ok(answers) => answers.into_iter(),
            Err(error) => {
                fail(calls.drain(..), &error);
                return Vec::new();
            }
        };
        // Answers of the commands that add to an index.
        let indices = indices(calls).count();
        let not_indexed = answers.by_ref().take(indices).find_map(|answer| answer.extract_error().err());
        let mut unknown = Vec::new();
        for call in calls.drain(..) {
            let answer = answers.next().unwrap_or(Value::Nil).extract_error();
            match (answer, &not_indexed) {
                (Err(error), _) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => unknown.push(call),
                (_, Some(error)) => drop(call.answer.send(Err(error.clone()))),
                (answer, None) => drop(call.answer.send(answer.and_then(|answer| connected(answer, call.empty)))),
            }
        }
        unknown
    }

    fn pipeline(&self, calls: &[Call]) -> Pipeline {
        let mut pipeline = Pipeline::with_capacity(calls.len() + 1);
        for of_one in indices(calls) {
            let mut add = Cmd::with_capacity(2 + of_one.len(), 64 * of_one.len());
            add.arg("SADD").arg(self.link.keys.index(&of_one[0].by));
            for call in of_one {
                add.arg(Stay::online(&call.session).to_string());
            }
            pipeline.add_command(add);
        }
        let at = now_rfc3339();
        for call in calls {
            pipeline.add_command(self.script(call, &at));
        }
        pipeline
    }

    fn script(&self, call: &Call, at: &str) -> Cmd {
        let Call { session: SessionRef { user, session }, by, policy, dead, wish, .. } = call;
        let keys = self.link.keys.connect(user);
        let facts = self.outbox.of_user(&self.link.keys, user);
        let (settings, fact_keys) = facts.as_ref().map_or(("", &[][..]), |(settings, keys)| (*settings, &keys[..]));
        let mut command = Cmd::with_capacity(33 + dead.len(), 1_344);
        command.arg("EVALSHA").arg(CONNECT.get_hash()).arg(keys.len() + fact_keys.len());
        for key in keys.iter().chain(fact_keys) {
            command.arg(key);
        }
        command.arg(&self.node_channels).arg(&self.keep_max).arg(&self.keep_age).arg(at).arg(&self.log_kept_for);
        command.arg(session.as_str()).arg(by.as_str()).arg(policy.limit);
        command.arg(match policy.on_conflict {
            OnConflict::Evict => "evict",
            OnConflict::Reject => "reject",
        });
        command.arg(&self.presence_channel).arg(&**user);
        command.arg(self.link.keys.records(user));
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
        command.arg(settings);
        for incarnation in dead {
            command.arg(incarnation.as_str());
        }
        command
    }
}

/// The calls by incarnation: those that follow each other with the same one.
fn indices(calls: &[Call]) -> impl Iterator<Item = &[Call]> {
    calls.chunk_by(|one, next| one.by == next.by)
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
