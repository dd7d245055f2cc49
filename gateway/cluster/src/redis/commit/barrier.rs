//! The command that confirms a connection's writes, and what its answers mean. Pure.
//!
//! `WAIT` and `WAITAOF` confirm everything up to the last write *of their connection*: also what other connections
//! wrote before it. After a read they confirm nothing new, in Valkey and in Redis from 7.2 on: so each script that a
//! barrier follows must write.

use std::time::Duration;

use redis::{Cmd, ErrorKind, FromRedisValue as _, RedisError, ServerErrorKind, Value};

use crate::log::Durability;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Barrier {
    /// Replicas have applied the writes.
    Replica,
    /// The master has synced the writes to its append-only file. Replicas are not asked.
    Disk,
}

/// The outcome of a barrier.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    /// The writes have reached it.
    Reached,
    /// Not in time.
    NotReached,
    /// Redis does not run the command.
    Refused(RedisError),
}

/// Why a Redis does not give what a barrier is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) reason: &'static str,
    /// It cannot be reached before an operator changes something: nothing needs to be written to find out.
    pub(super) lasts: bool,
}

impl Barrier {
    /// `None` if the append alone is enough.
    pub(crate) fn of(durability: Durability) -> Option<Self> {
        match durability {
            Durability::Memory => None,
            Durability::Replica => Some(Self::Replica),
            Durability::Disk => Some(Self::Disk),
        }
    }

    /// The durability that it confirms.
    pub(crate) fn durability(self) -> Durability {
        match self {
            Self::Replica => Durability::Replica,
            Self::Disk => Durability::Disk,
        }
    }

    /// The command, by which so many replicas confirm. It blocks its connection for at most `limit`.
    pub(super) fn command(self, replicas: u64, limit: Duration) -> Cmd {
        // 0 would be no limit.
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut command;
        match self {
            Self::Replica => {
                command = redis::cmd("WAIT");
                command.arg(replicas);
            }
            Self::Disk => {
                command = redis::cmd("WAITAOF");
                command.arg(1).arg(0);
            }
        }
        command.arg(limit);
        command
    }

    /// Reads the command's answer: so many replicas must have confirmed.
    pub(super) fn verdict(self, answer: Value, replicas: u64) -> Verdict {
        if let Value::ServerError(error) = answer {
            return Verdict::Refused(error.into());
        }
        let is_reached = match self {
            Self::Replica => u64::from_redis_value(answer).map(|count| count >= replicas),
            Self::Disk => <(u64, u64)>::from_redis_value(answer).map(|(local, _)| local > 0),
        };
        match is_reached {
            Ok(false) => Verdict::NotReached,
            Ok(true) => Verdict::Reached,
            Err(error) => Verdict::Refused(error.into()),
        }
    }

    /// The problem behind a verdict, for an operator; `None` if nothing is wrong, or if the connection is to blame.
    pub(super) fn problem(self, verdict: &Verdict) -> Option<Problem> {
        let error = match (verdict, self) {
            (Verdict::Reached, _) => return None,
            (Verdict::NotReached, Self::Replica) => {
                let reason =
                    "replicas do not confirm writes in time: connect one, or see why one lags (INFO replication)";
                return Some(Problem { reason, lasts: false });
            }
            (Verdict::NotReached, Self::Disk) => {
                let reason =
                    "writes are not synced in time: set `appendfsync` to everysec or always, and check the disk";
                return Some(Problem { reason, lasts: false });
            }
            (Verdict::Refused(error), _) => error,
        };
        let text = error.to_string().to_ascii_lowercase();
        let reason = match self {
            Self::Disk if text.contains("appendonly") => "no append-only file: set `appendonly yes`",
            Self::Disk if text.contains("unknown command") => {
                "no WAITAOF: it needs Redis 7.2, Valkey, or newer; else use durable=replica"
            }
            Self::Replica if text.contains("unknown command") => "no WAIT: it needs Redis or Valkey",
            _ if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => {
                "the user of `redis.url` may not run WAIT or WAITAOF: add +wait +waitaof to its ACL"
            }
            _ => return None,
        };
        Some(Problem { reason, lasts: true })
    }
}

#[cfg(test)]
mod tests {
    use redis::parse_redis_value;

    use super::*;

    fn verdict(barrier: Barrier, answer: &[u8]) -> Verdict {
        barrier.verdict(parse_redis_value(answer).unwrap(), 2)
    }

    #[test]
    fn too_few_are_not_reached() {
        assert!(matches!(verdict(Barrier::Replica, b":2\r\n"), Verdict::Reached));
        assert!(matches!(verdict(Barrier::Replica, b":1\r\n"), Verdict::NotReached));
        assert!(matches!(verdict(Barrier::Disk, b"*2\r\n:1\r\n:0\r\n"), Verdict::Reached));
        assert!(matches!(verdict(Barrier::Disk, b"*2\r\n:0\r\n:3\r\n"), Verdict::NotReached), "replicas do not count");
        assert!(matches!(verdict(Barrier::Disk, b"+OK\r\n"), Verdict::Refused(_)), "never taken for a confirmation");
    }

    #[test]
    fn lasting_problems_name_the_setting() {
        for (barrier, answer, word) in [
            (
                Barrier::Disk,
                "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
                "appendonly yes",
            ),
            (Barrier::Disk, "-ERR unknown command 'WAITAOF', with args beginning with: '1' '0' '1'", "7.2"),
            (Barrier::Replica, "-ERR unknown command `WAIT`, with args beginning with: `1`", "WAIT"),
            (Barrier::Replica, "-NOPERM this user has no permissions to run the 'wait' command", "+wait"),
        ] {
            let verdict = verdict(barrier, format!("{answer}\r\n").as_bytes());
            let problem = barrier.problem(&verdict).unwrap_or_else(|| panic!("{verdict:?}"));
            assert!(problem.lasts && problem.reason.contains(word), "{answer}: {problem:?}");
        }
        for answer in
            ["-ERR WAIT cannot be used with replica instances.", "-UNBLOCKED force unblock from blocking operation"]
        {
            let verdict = verdict(Barrier::Replica, format!("{answer}\r\n").as_bytes());
            assert!(matches!(verdict, Verdict::Refused(_)) && Barrier::Replica.problem(&verdict).is_none(), "{answer}");
        }
        assert!(!Barrier::Replica.problem(&Verdict::NotReached).unwrap().lasts);
    }

    #[test]
    fn a_barrier_never_blocks_without_a_limit() {
        for (barrier, words) in
            [(Barrier::Replica, "$4\r\nWAIT\r\n$1\r\n1\r\n$1\r\n1\r\n"), (Barrier::Disk, "$1\r\n0\r\n$1\r\n1\r\n")]
        {
            let packed = barrier.command(1, Duration::ZERO).get_packed_command();
            assert!(String::from_utf8(packed).unwrap().ends_with(words));
        }
    }
}
