//! The settings `redis.…`. Gateways and the auth service have the same ones, so that they mean the same in a program
//! that holds both.

use jackfield_shared::settings::SettingsError;

use super::target::{RedisAccess, RedisTarget};

jackfield_shared::settings! {
    /// `redis.…`
    pub struct RedisSettings {
        /// `redis://user:password@host:port/database`, or `rediss://` for TLS, with user and password percent-encoded;
        /// if empty, a gateway is a cluster of its own, in memory, and an auth service that is a process of its own
        /// cannot tell gateways about revoked tokens.
        url: String = String::new(),
        /// Prefix of every key and channel in Redis; each cluster needs its own, and its auth service the same.
        prefix: String = "jackfield".into(),
        /// PEM file of the authorities that may sign Redis's certificate; if empty, the public ones.
        ca_file: String = String::new(),
        /// PEM file of the client certificate, with its chain.
        cert_file: String = String::new(),
        /// PEM file of the client certificate's private key.
        key_file: String = String::new(),
        /// Name that Redis's certificate must have; if empty, the host in `redis.url`.
        server_name: String = String::new(),
    }
}

impl RedisSettings {
    /// The address of Redis, the login, and the certificates for TLS.
    ///
    /// # Errors
    /// Names the setting, and the file if it is one.
    pub fn target(&self) -> Result<RedisTarget, SettingsError> {
        let Self { url, ca_file, cert_file, key_file, server_name, prefix: _ } = self;
        RedisTarget::new(RedisAccess { url, ca_file, cert_file, key_file, server_name })
    }
}
