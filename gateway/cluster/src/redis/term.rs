//! The term of a server: an id that is another one whenever the server may be another one, or may have lost data.
//!
//! Scripts that number messages compare the term of their partition with the one in which their epoch began (`term.lua`), so
//! that no number is given twice, whatever a failover or a restart has lost. Guarantee: every connection for commands
//! begins by writing the server's term to all partitions that the server has. So the first command after a failover
//! already finds the new one.
//!
//! The term is the replication id: Redis makes a new one when a replica is promoted, and when a master starts. A server
//! that names none has no term, and its epochs end only if a node notices that messages are lost.

use parking_lot::Mutex;
use redis::{Pipeline, RedisError, RedisResult, Value, aio::ConnectionLike, from_redis_value};

use super::keys::Keys;
use crate::partition::Partition;

/// Digits of a term: enough to be unique, and few enough not to matter in every head of a log.
const DIGITS: usize = 16;

/// The term that this node has written to one server.
pub(crate) struct Terms {
    keys: Box<[String]>,
    /// The last term that was written to all partitions of the server.
    written: Mutex<Option<String>>,
}

impl Terms {
    pub(crate) fn new(keys: &Keys) -> Self {
        Self { keys: Partition::all().map(|partition| keys.term(partition)).collect(), written: Mutex::default() }
    }

    /// Writes the server's term, unless it is there. Has no timeout of its own.
    pub(super) async fn write(&self, connection: &mut impl ConnectionLike) -> RedisResult<()> {
        let mut asking = Pipeline::with_capacity(1);
        asking.cmd("INFO").arg("replication");
        let info = connection.req_packed_commands(&asking, 0, 1).await?.pop().unwrap_or(Value::Nil);
        let info: String = from_redis_value(info.extract_error()?)?;
        let Some(term) = term_in(&info) else { return Ok(()) };
        if self.written.lock().as_deref() == Some(term) {
            return Ok(());
        }
        let mut reading = Pipeline::with_capacity(self.keys.len());
        for key in &self.keys {
            reading.cmd("GET").arg(key);
        }
        let mut writing = Pipeline::new();
        for (key, before) in self.keys.iter().zip(connection.req_packed_commands(&reading, 0, self.keys.len()).await?) {
            match here(before)? {
                Some(Value::BulkString(before)) if before == term.as_bytes() => {}
                Some(_) => {
                    writing.cmd("SET").arg(key).arg(term);
                }
                None => {}
            }
        }
        if !writing.is_empty() {
            for answer in connection.req_packed_commands(&writing, 0, writing.len()).await? {
                here(answer)?;
            }
        }
        *self.written.lock() = Some(term.to_owned());
        Ok(())
    }
}

/// The answer about a key; `None` if its partition is at another server of a Redis Cluster, or at none.
fn here(answer: Value) -> RedisResult<Option<Value>> {
    match answer.extract_error() {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_elsewhere(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_elsewhere(error: &RedisError) -> bool {
    match error.code() {
        Some("MOVED" | "ASK") => true,
        // The other reason is that the whole Cluster is down. This server may have partitions once it is not.
        Some("CLUSTERDOWN") => error.detail().is_some_and(|detail| detail.contains("slot not served")),
        _ => false,
    }
}

fn term_in(info: &str) -> Option<&str> {
    let id = info.lines().find_map(|line| line.strip_prefix("master_replid:"))?;
    id.get(..DIGITS).filter(|term| term.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_term_is_the_beginning_of_the_replication_id() {
        let info = "# Replication\r\nrole:master\r\nmaster_replid:0123456789abcdef0123456789abcdef01234567\r\nx:1\r\n";
        assert_eq!(term_in(info), Some("0123456789abcdef"));
        assert_eq!(term_in("role:master\r\nmaster_replid:short\r\n"), None);
        assert_eq!(term_in("role:master\r\n"), None);
    }
}
