//! The settings `redis.…`. Gateways and the auth service have the same ones, so that they mean the same in a program
//! that holds both.

use jackfield_shared::settings::SettingsError;

use super::{target::RedisTopology, topology};

jackfield_shared::settings! {
    /// `redis.…`
    pub struct RedisSettings {
        /// `redis://user:password@host:port/database`, or `rediss://` for TLS, with user and password percent-encoded;
        /// if it and the other addresses are empty, a gateway is a cluster of its own, in memory, and an auth service
        /// that is a process of its own cannot tell gateways about revoked tokens.
        url: String = String::new(),
        /// Addresses of several Redis that share users and rooms, instead of `redis.url`; add new ones at the end. With
        /// `redis.cluster` some nodes of the Cluster.
        urls: Vec<String> = Vec::new(),
        /// Whether the addresses are nodes of a Redis Cluster; the other nodes are found by them.
        cluster: bool = false,
        /// Sentinels that know the master, each as `redis://user:password@host:port`; then `redis.url` has only the
        /// masters' user, password, database and TLS.
        sentinels: Vec<String> = Vec::new(),
        /// Name of the master that the sentinels know; several names with commas are several Redis, as in `redis.urls`.
        master: String = String::new(),
        /// Prefix of every key and channel in Redis; each cluster needs its own, and its auth service the same.
        prefix: String = "jackfield".into(),
        /// PEM file of the authorities that may sign Redis's certificate; if empty, the public ones.
        ca_file: String = String::new(),
        /// PEM file of the client certificate, with its chain.
        cert_file: String = String::new(),
        /// PEM file of the client certificate's private key.
        key_file: String = String::new(),
        /// Name that the certificates of all Redis and sentinels must have; if empty, the host that the node connects to:
        /// the one in the setting, or the one that a sentinel or the Cluster names.
        server_name: String = String::new(),
    }
}

impl RedisSettings {
    /// Whether there is to be a Redis.
    #[must_use]
    pub fn is_set(&self) -> bool {
        !self.url.is_empty()
            || !self.urls.is_empty()
            || !self.sentinels.is_empty()
            || !self.master.is_empty()
            || self.cluster
    }

    /// All Redis, with the login and the certificates.
    ///
    /// # Errors
    /// Names the setting, and the file if it is one; never an address, which may contain a password.
    pub fn topology(&self) -> Result<RedisTopology, SettingsError> {
        topology::of(self)
    }
}
