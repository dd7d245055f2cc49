//! Brings a call that a node of a Redis Cluster did not run to the node that does.
//!
//! A call is sent again only if the answer says that it was not run; one whose connection was lost is never sent again.
//! Callers limit the time. Deliberately not here: the map of the slots ([`super::cluster`]), which only learns of moves.

use std::sync::Arc;

use redis::{Cmd, Pipeline, RedisError, RedisResult, Script, Value};
use tokio::time::sleep;

use super::{cluster::Cluster, pauses::Pauses, slots::Redirect};
use crate::{
    partition::Partition,
    redis::{link::is_unknown_script, server::Server},
};

/// The next attempt of a call.
pub(crate) struct Attempt {
    pub(crate) server: Arc<Server>,
    /// The server is taking over the slot, and runs the call only right after ASKING.
    pub(crate) is_asking: bool,
}

/// The attempts of one call.
pub(crate) struct Attempts<'a> {
    cluster: &'a Cluster,
    partition: Partition,
    pauses: Pauses,
}

impl Cluster {
    /// The first attempt of a call, and the way to further ones.
    pub(crate) fn attempts(&self, partition: Partition) -> (Attempt, Attempts<'_>) {
        let first = Attempt { server: self.server(partition), is_asking: false };
        (first, Attempts { cluster: self, partition, pauses: Pauses::default() })
    }

    /// The answer to a command that a server refused or lost with this error.
    pub(crate) async fn follow(
        &self,
        partition: Partition,
        command: &Cmd,
        script: Option<&Script>,
        mut error: RedisError,
    ) -> RedisResult<Value> {
        let (_, mut attempts) = self.attempts(partition);
        loop {
            let next = attempts.after(error).await?;
            match answer(&next, command, script).await {
                Err(other) => error = other,
                answer => return answer,
            }
        }
    }
}

impl Attempts<'_> {
    /// The attempt after one that failed with this error, which is returned if the call may have run, or never will. Waits
    /// for a moment before an attempt that could meet the same again.
    pub(crate) async fn after(&mut self, error: RedisError) -> RedisResult<Attempt> {
        let asked = self.cluster.server(self.partition);
        let Some(redirect) = Redirect::of(&error, asked.host()) else { return Err(error) };
        let (server, is_asking) = match redirect {
            Redirect::Moved(address) => {
                sleep(self.pauses.after_redirect()).await;
                (self.cluster.moved(self.partition, &address)?, false)
            }
            Redirect::Ask(address) => {
                sleep(self.pauses.after_redirect()).await;
                (self.cluster.server_at(&address)?, true)
            }
            Redirect::Again => {
                self.cluster.is_outdated();
                sleep(self.pauses.next()).await;
                (self.cluster.server(self.partition), false)
            }
        };
        Ok(Attempt { server, is_asking })
    }
}

/// The answer of one server, which may have to learn the script first.
async fn answer(Attempt { server, is_asking }: &Attempt, command: &Cmd, script: Option<&Script>) -> RedisResult<Value> {
    let send = async || {
        if !is_asking {
            return server.send(command).await;
        }
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("ASKING").add_command(command.clone());
        let answers = server.send_all(&pipeline).await?;
        answers.into_iter().next_back().unwrap_or(Value::Nil).extract_error()
    };
    match (send().await, script) {
        (Err(error), Some(script)) if is_unknown_script(&error) => {
            server.load(script).await?;
            send().await
        }
        (answer, _) => answer,
    }
}
