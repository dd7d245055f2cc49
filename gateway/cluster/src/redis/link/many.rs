//! Many calls at once, over the pools: one pipeline for each server that has partitions of them, at the same time.
//!
//! Answers come in the order of the calls. If one server fails, the whole does, although others may have done their part.

use std::sync::Arc;

use futures_util::future::try_join_all;
use redis::{Cmd, FromRedisValue, Pipeline, RedisResult, Script, ToRedisArgs, Value, from_redis_value};

use super::{RedisLink, Timing, is_unknown_script, refused_or};
use crate::{
    Unavailable,
    partition::Partition,
    redis::{
        script::{Call, ScriptCall, Source},
        server::Server,
    },
};

impl RedisLink {
    /// Many calls of a script, over the pools.
    pub(crate) async fn each<T: FromRedisValue, A: ToRedisArgs>(
        &self,
        source: &Source,
        calls: impl IntoIterator<Item = (Partition, ScriptCall<A>)>,
    ) -> Result<Vec<T>, Unavailable> {
        let script = self.script(source);
        let command = |(partition, ScriptCall { keys, arguments }): (Partition, ScriptCall<A>)| {
            let mut call = Call::new(script, keys.len(), arguments.len(), 0);
            call.arg(keys).arg(arguments);
            (partition, call.command)
        };
        self.many(calls.into_iter().map(command).collect(), Some(script)).await
    }

    /// Many commands, over the pools. Returns their answers in the same order.
    pub(crate) async fn bulk<T: FromRedisValue>(&self, commands: Vec<(Partition, Cmd)>) -> Result<Vec<T>, Unavailable> {
        self.many(commands, None).await
    }

    async fn many<T: FromRedisValue>(
        &self,
        commands: Vec<(Partition, Cmd)>,
        script: Option<&Script>,
    ) -> Result<Vec<T>, Unavailable> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let answers = async {
            let answers = self.ask_all(commands, script).await?;
            answers.into_iter().map(|answer| Ok(from_redis_value(answer)?)).collect()
        };
        self.within(Timing::of("bulk"), answers).await
    }

    async fn ask_all(&self, commands: Vec<(Partition, Cmd)>, script: Option<&Script>) -> RedisResult<Vec<Value>> {
        if let Some(cluster) = &self.cluster {
            cluster.mapped().await;
        }
        let routing = Arc::clone(&self.routing.borrow());
        let mut answers = vec![Value::Nil; commands.len()];
        let mut groups: Vec<Group> = routing.servers.iter().map(|_| Group::default()).collect();
        for (place, (partition, command)) in commands.into_iter().enumerate() {
            groups[routing.index(partition)].add(place, partition, command);
        }
        let asked = routing.servers.iter().zip(groups).filter(|(_, group)| !group.places.is_empty());
        let asked = asked.map(|(server, group)| self.ask_group(group, server, script));
        for answered in try_join_all(asked).await? {
            for (place, answer) in answered {
                answers[place] = answer;
            }
        }
        Ok(answers)
    }

    /// The answers of one server, with their places. Those that another server has are brought from there.
    async fn ask_group(
        &self,
        group: Group,
        server: &Server,
        script: Option<&Script>,
    ) -> RedisResult<Vec<(usize, Value)>> {
        let answers = group.ask(server, script).await?;
        let asked = group.places.iter().zip(group.commands.cmd_iter()).zip(answers);
        let brought = asked.map(async |((&(place, partition), command), answer)| {
            let answer = match answer {
                Err(error) => self.follow(partition, command, script, error).await,
                answer => answer,
            };
            Ok((place, refused_or(server, answer)?))
        });
        try_join_all(brought).await
    }
}

/// Commands to one server, and their places among all.
#[derive(Default)]
struct Group {
    places: Vec<(usize, Partition)>,
    commands: Pipeline,
}

impl Group {
    fn add(&mut self, place: usize, partition: Partition, command: Cmd) {
        self.places.push((place, partition));
        self.commands.add_command(command);
    }

    /// The answer of each command. Those that failed because the script is unknown are sent again.
    async fn ask(&self, server: &Server, script: Option<&Script>) -> RedisResult<Vec<RedisResult<Value>>> {
        let answers = server.send_bulk(&self.commands).await?.into_iter();
        let mut answers: Vec<_> = answers.map(Value::extract_error).collect();
        let is_unknown = |answer: &RedisResult<Value>| answer.as_ref().is_err_and(is_unknown_script);
        if let Some(script) = script.filter(|_| answers.iter().any(is_unknown)) {
            server.load(script).await?;
            let mut again = Pipeline::new();
            let mut unknown: Vec<_> = answers.iter_mut().zip(self.commands.cmd_iter()).collect();
            unknown.retain(|(answer, _)| is_unknown(answer));
            for (_, command) in &unknown {
                again.add_command((*command).clone());
            }
            for ((answer, _), new) in unknown.into_iter().zip(server.send_bulk(&again).await?) {
                *answer = new.extract_error();
            }
        }
        Ok(answers)
    }
}
