//! A small pool of connections for commands. Each must answer a PING before it is used again.

use std::sync::Arc;

use deadpool::{
    Runtime,
    managed::{self, Metrics, PoolConfig, RecycleError, RecycleResult},
};
use redis::{RedisError, aio::MultiplexedConnection};

use crate::redis::connector::Connector;

/// See the module.
pub(crate) type Pool = managed::Pool<Manager>;

/// Makes and checks the connections.
pub(crate) struct Manager(Arc<Connector>);

/// A pool that connects when it is first used.
///
/// # Panics
/// Never: a pool with a runtime takes any configuration.
#[expect(clippy::expect_used, reason = "building fails only for timeouts without a runtime")]
pub(crate) fn pool(connector: Arc<Connector>, config: PoolConfig) -> Pool {
    let builder = Pool::builder(Manager(connector)).config(config).runtime(Runtime::Tokio1);
    builder.build().expect("it has a runtime")
}

impl managed::Manager for Manager {
    type Type = MultiplexedConnection;
    type Error = RedisError;

    async fn create(&self) -> Result<MultiplexedConnection, RedisError> {
        self.0.commands().await
    }

    async fn recycle(&self, connection: &mut MultiplexedConnection, _: &Metrics) -> RecycleResult<RedisError> {
        let pong: String = redis::cmd("PING").query_async(connection).await?;
        if pong == "PONG" { Ok(()) } else { Err(RecycleError::message("not the answer to PING")) }
    }
}
