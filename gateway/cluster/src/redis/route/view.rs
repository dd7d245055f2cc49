//! One node's view of its Redis Cluster.

use redis::{Pipeline, RedisError, RedisResult, Value, from_redis_value};

use super::slots::SlotMap;
use crate::redis::{connector::failed, server::Server};

/// See the module.
pub(super) struct View {
    /// The node says that the Cluster is well.
    pub(super) is_well: bool,
    pub(super) map: SlotMap,
}

/// Asks a node.
pub(super) async fn view(server: &Server) -> RedisResult<View> {
    let mut pipeline = Pipeline::with_capacity(2);
    pipeline.cmd("CLUSTER").arg("INFO").cmd("CLUSTER").arg("SLOTS");
    let mut answers = server.send_all(&pipeline).await?.into_iter().map(Value::extract_error);
    let mut next = || answers.next().unwrap_or(Ok(Value::Nil));
    let info: String = from_redis_value(next().map_err(|error| explain(server, error))?)?;
    let map = SlotMap::read(next().map_err(|error| explain(server, error))?, server.host())?;
    Ok(View { is_well: info.lines().any(|line| line.trim_end() == "cluster_state:ok"), map })
}

fn explain(server: &Server, error: RedisError) -> RedisError {
    server.refused(&error);
    match error.detail() {
        Some(detail) if detail.contains("cluster support disabled") => {
            failed("this Redis is no node of a Redis Cluster: do not set `redis.cluster`")
        }
        _ => error,
    }
}
