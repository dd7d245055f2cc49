//! One connection for commands. Clones share it; it ends with the last clone, whatever is still under way.

use redis::{
    AsyncConnectionConfig, Cmd, Pipeline, RedisConnectionInfo, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};
use std::sync::Arc;
use tokio::task::JoinHandle;

use super::stream::Stream;
use crate::TIMEOUT;

/// See the module.
#[derive(Clone)]
pub(crate) struct Commands {
    connection: MultiplexedConnection,
    /// The connector's generation at the time of connecting.
    pub(super) generation: u64,
    _driver: Arc<Driver>,
}

/// Moves the bytes, until it is dropped.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Commands {
    /// Over a stream that is logged in with RESP2.
    pub(super) async fn over(stream: Stream, generation: u64) -> RedisResult<Self> {
        let info = RedisConnectionInfo::default().set_skip_set_lib_name();
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(TIMEOUT));
        let (connection, driver) = MultiplexedConnection::new_with_config(&info, stream, config).await?;
        #[expect(
            clippy::disallowed_methods,
            reason = "it ends with the connection, which works until the process ends"
        )]
        let driver = tokio::spawn(driver);
        Ok(Self { connection, generation, _driver: Arc::new(Driver(driver)) })
    }
}

impl ConnectionLike for Commands {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.connection.req_packed_command(command)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.connection.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}
