//! The servers behind the nodes themselves, for tests that look at keys, or publish as programs of others do. Their
//! addresses are in `TEST_REDIS_NODES`, with commas, or else `TEST_REDIS_URL` has the only one.

use redis::{Client, aio::MultiplexedConnection, cmd};

/// A connection to each server.
pub struct Direct(pub Vec<MultiplexedConnection>);

impl Direct {
    pub async fn connect() -> Self {
        let urls = std::env::var("TEST_REDIS_NODES").or_else(|_| std::env::var("TEST_REDIS_URL")).unwrap();
        let mut servers = Vec::new();
        for url in urls.split(',') {
            servers.push(Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap());
        }
        Self(servers)
    }

    /// Lets all users subscribe to this pattern: Redis compares patterns with the permitted ones as text.
    pub async fn allow_pattern(&self, pattern: &str) {
        for server in &self.0 {
            let users: Vec<String> = cmd("ACL").arg("USERS").query_async(&mut server.clone()).await.unwrap();
            for user in users {
                let mut allow = cmd("ACL");
                allow.arg("SETUSER").arg(user).arg(format!("&{pattern}"));
                // Refused for a user who may subscribe to everything.
                let _ = allow.exec_async(&mut server.clone()).await;
            }
        }
    }

    /// The server that has this key and takes writes. Nodes of a Redis Cluster that have not refuse to look.
    pub async fn with_key(&self, key: &str) -> MultiplexedConnection {
        for server in &self.0 {
            let mut server = server.clone();
            let exists = cmd("EXISTS").arg(key).query_async::<bool>(&mut server).await;
            if exists.unwrap_or(false) && !is_replica(&mut server).await {
                return server;
            }
        }
        panic!("no server has {key}")
    }
}

/// Its user may not ask for the role, but every Redis tells it in its greeting.
async fn is_replica(server: &mut MultiplexedConnection) -> bool {
    let greeting: std::collections::HashMap<String, redis::Value> = cmd("HELLO").query_async(server).await.unwrap();
    redis::from_redis_value::<String>(greeting["role"].clone()).unwrap() == "replica"
}
