//! One connection for commands, shared by all callers and replaced when it is lost.
//!
//! All callers share an attempt to connect: they wait for the current one, and get its error, also if it failed before
//! they called. A caller that gets the error starts the next attempt, at most every [`ATTEMPT_EVERY`], whatever the
//! reason: Redis may accept a refused login later. Commands are never sent twice: on a lost connection they fail.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use jackfield_shared::lifecycle::Lifecycle;
use redis::{Cmd, Pipeline, RedisFuture, RedisResult, Value, aio::ConnectionLike};

use crate::redis::{commands::Commands, connector::Connector};

const ATTEMPT_EVERY: Duration = Duration::from_millis(100);

/// See the module. Clones share the connection.
#[derive(Clone)]
pub(crate) struct SharedConnection(Arc<Inner>);

struct Inner {
    connector: Arc<Connector>,
    lifecycle: Lifecycle,
    attempt: ArcSwap<Attempt>,
}

struct Attempt {
    begun: Instant,
    outcome: Shared<BoxFuture<'static, RedisResult<Commands>>>,
}

impl SharedConnection {
    /// Connects with the first call.
    pub(crate) fn new(connector: Arc<Connector>, lifecycle: &Lifecycle) -> Self {
        let attempt = ArcSwap::from_pointee(Attempt::new(&connector, Duration::ZERO));
        Self(Arc::new(Inner { connector, lifecycle: lifecycle.clone(), attempt }))
    }

    /// The current attempt. A connection that is [outdated](Connector::is_outdated) is replaced first.
    fn attempt(&self) -> Arc<Attempt> {
        let attempt = self.0.attempt.load_full();
        match attempt.outcome.peek() {
            Some(Ok(connection)) if self.0.connector.is_outdated(connection) => {
                self.replace(&attempt);
                self.0.attempt.load_full()
            }
            _ => attempt,
        }
    }

    async fn connection(&self, attempt: &Arc<Attempt>) -> RedisResult<Commands> {
        let outcome = attempt.outcome.clone().await;
        if outcome.is_err() {
            self.replace(attempt);
        }
        outcome
    }

    fn check<T>(&self, answer: &RedisResult<T>, attempt: &Arc<Attempt>) {
        if answer.as_ref().is_err_and(redis::RedisError::is_unrecoverable_error) {
            self.replace(attempt);
        }
    }

    /// Starts the next attempt, unless another caller has. It runs in its own task: a caller's timeout does not end it.
    fn replace(&self, last: &Arc<Attempt>) {
        let Inner { connector, lifecycle, attempt } = &*self.0;
        let next = Arc::new(Attempt::new(connector, ATTEMPT_EVERY.saturating_sub(last.begun.elapsed())));
        let before = attempt.compare_and_swap(last, Arc::clone(&next));
        if Arc::ptr_eq(&before, last) {
            drop(lifecycle.spawn(next.outcome.clone().map(drop)));
        }
    }
}

impl Attempt {
    fn new(connector: &Arc<Connector>, pause: Duration) -> Self {
        let connector = Arc::clone(connector);
        let outcome = async move {
            tokio::time::sleep(pause).await;
            connector.commands().await
        };
        Self { begun: Instant::now() + pause, outcome: outcome.boxed().shared() }
    }
}

impl ConnectionLike for SharedConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let attempt = self.attempt();
            let answer = self.connection(&attempt).await?.req_packed_command(command).await;
            self.check(&answer, &attempt);
            answer
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let attempt = self.attempt();
            let answer = self.connection(&attempt).await?.req_packed_commands(pipeline, offset, count).await;
            self.check(&answer, &attempt);
            answer
        })
    }

    fn get_db(&self) -> i64 {
        self.0.connector.database()
    }
}
