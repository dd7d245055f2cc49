//! The conditions for answering writes: their barrier is passed, and the master that has them keeps its place.
//!
//! With [`Barrier::Replica`] every replica that could take over must have the writes, and one at least: sentinels, and the
//! nodes of a Cluster, choose among them by what they knew some time ago. A replica that has not been heard for some
//! seconds is left out, because nobody would choose it; until then it delays writes, and they may fail. Afterwards no
//! sentinel may object to the master ([`Connector::check`]).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redis::{Cmd, FromRedisValue as _, Pipeline, RedisResult, Value, aio::ConnectionLike as _};

use super::barrier::{Barrier, Verdict};
use crate::redis::{commands::Commands, connector::Connector};

/// Most seconds since a replica that could take over was heard. They confirm once a second.
const HEARD_WITHIN: u64 = 2;

/// See the module.
pub(super) struct Gate {
    connector: Arc<Connector>,
    barrier: Barrier,
    /// How many replicas must have the next writes, as far as is known.
    wanted: AtomicU64,
}

impl Gate {
    pub(super) fn new(connector: Arc<Connector>, barrier: Barrier) -> Self {
        Self { connector, barrier, wanted: AtomicU64::new(1) }
    }

    pub(super) fn barrier(&self) -> Barrier {
        self.barrier
    }

    /// The commands that follow the writes in their pipeline. They take at most `limit`.
    pub(super) fn commands(&self, limit: Duration) -> impl ExactSizeIterator<Item = Cmd> + use<> {
        let mut commands = vec![self.barrier.command(self.wanted.load(Ordering::Relaxed), limit)];
        if self.barrier == Barrier::Replica {
            let mut info = redis::cmd("INFO");
            info.arg("replication");
            commands.push(info);
        }
        commands.into_iter()
    }

    /// Waits for what the connection has written, until `limit` is over.
    pub(super) async fn wait(&self, connection: &mut Commands, limit: Duration) -> RedisResult<Verdict> {
        let mut pipeline = Pipeline::with_capacity(2);
        for command in self.commands(limit) {
            pipeline.add_command(command);
        }
        let answers = connection.req_packed_commands(&pipeline, 0, pipeline.len()).await?;
        self.read(answers)
    }

    /// The outcome for writes whose commands were answered so, at `until` at the latest.
    pub(super) async fn verdict(&self, connection: &mut Commands, answers: Vec<Value>, until: Instant) -> Verdict {
        let before = self.wanted.load(Ordering::Relaxed);
        let mut verdict = self.read(answers);
        let left = until.saturating_duration_since(Instant::now());
        if matches!(verdict, Ok(Verdict::NotReached)) && self.wanted.load(Ordering::Relaxed) != before {
            // Another replica has come.
            verdict = self.wait(connection, left).await;
        }
        if self.barrier == Barrier::Replica && matches!(verdict, Ok(Verdict::Reached)) {
            // The replicas may still follow a master that has a successor already.
            verdict = self.connector.check(connection).await.map(|()| Verdict::Reached);
        }
        verdict.unwrap_or_else(Verdict::Refused)
    }

    /// Notes how many replicas there are.
    fn read(&self, answers: Vec<Value>) -> RedisResult<Verdict> {
        let mut answers = answers.into_iter();
        let answer = answers.next().unwrap_or(Value::Nil);
        let Some(info) = answers.next() else { return Ok(self.barrier.verdict(answer, 1)) };
        let wanted = replicas(&String::from_redis_value(info.extract_error()?)?).max(1);
        self.wanted.store(wanted, Ordering::Relaxed);
        Ok(self.barrier.verdict(answer, wanted))
    }
}

/// How many replicas could take over: `slave0:ip=…,port=…,state=online,offset=…,lag=0`.
fn replicas(info: &str) -> u64 {
    let could = |line: &&str| {
        let Some((name, state)) = line.split_once(':') else { return false };
        let value = |name| state.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        let is_replica = name.strip_prefix("slave").is_some_and(|number| number.parse::<u16>().is_ok());
        let lag = value("lag").and_then(|lag| lag.trim_end().parse::<u64>().ok());
        is_replica && value("state") == Some("online") && lag.is_some_and(|lag| lag <= HEARD_WITHIN)
    };
    info.lines().filter(could).map(|_| 1).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_that_could_take_over_are_counted() {
        let info = "# Replication\r\nrole:master\r\nconnected_slaves:4\r\n\
            slave0:ip=127.0.0.1,port=1,state=online,offset=10,lag=0\r\n\
            slave1:ip=127.0.0.1,port=2,state=online,offset=9,lag=2,type=replica\r\n\
            slave2:ip=127.0.0.1,port=3,state=online,offset=1,lag=3\r\n\
            slave3:ip=127.0.0.1,port=4,state=send_bulk,offset=0,lag=0\r\nslave_read_only:1\r\n";
        assert_eq!(replicas(info), 2);
        assert_eq!(replicas("# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"), 0);
    }
}
