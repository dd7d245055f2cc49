//! A small pool of connections to one server, which connects when it is first used. A connection must answer a PING
//! before it is used again, and is not used again once its server is another one.

use std::sync::Arc;

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use redis::RedisError;

use super::{commands::Commands, connector::Connector};
use crate::TIMEOUT;

/// See the module.
pub(crate) type Pool = managed::Pool<Manager>;

/// Makes and checks the connections of a pool.
pub(crate) struct Manager(Arc<Connector>);

/// A pool of at most so many connections. Every wait in it ends after [`TIMEOUT`].
#[expect(clippy::expect_used, reason = "the pool has a runtime")]
pub(crate) fn pool(connector: &Arc<Connector>, connections: usize) -> Pool {
    let timeouts = managed::Timeouts { wait: Some(TIMEOUT), create: Some(TIMEOUT), recycle: Some(TIMEOUT) };
    let config = managed::PoolConfig { timeouts, ..managed::PoolConfig::new(connections) };
    let pool = Pool::builder(Manager(Arc::clone(connector))).config(config).runtime(deadpool::Runtime::Tokio1);
    pool.build().expect("it has a runtime")
}

impl managed::Manager for Manager {
    type Type = Commands;
    type Error = RedisError;

    async fn create(&self) -> Result<Commands, RedisError> {
        self.0.commands().await
    }

    async fn recycle(&self, connection: &mut Commands, _: &Metrics) -> RecycleResult<RedisError> {
        if self.0.is_outdated(connection) {
            return Err(RecycleError::message("the server is another one"));
        }
        redis::cmd("PING").exec_async(connection).await.map_err(RecycleError::Backend)
    }
}
